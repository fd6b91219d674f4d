{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let [null, ..] = vm.mux_chardev(NullChardev {});
    vm.qmp_on(null);
    vm.build()?;
    Ok(())
}
