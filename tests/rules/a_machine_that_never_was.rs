{
    use qemu_dsl::prelude::*;
    let vm = Vm::new(Q35::new().versioned(8, 3), Tcg::new(), Haswell::new(), mib!(64));
    vm.build()?;
    Ok(())
}
