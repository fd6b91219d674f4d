{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.raw_arg("-device edu");
    vm.build()?;
    Ok(())
}
