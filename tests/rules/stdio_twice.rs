{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let _first = vm.chardev(Stdio::new());
    let _second = vm.chardev(Stdio::new());
    vm.build()?;
    Ok(())
}
