{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    for _ in 0..2 {
        vm.add(VirtioBalloon::new());
    }
    vm.build()?;
    Ok(())
}
