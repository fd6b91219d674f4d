{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let _first = vm.chardev_as(id!("log"), LogFile::new("a.log"));
    let _second = vm.chardev_as(id!("log"), LogFile::new("b.log"));
    vm.build()?;
    Ok(())
}
