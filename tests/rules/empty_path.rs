{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.kernel(Kernel::new("").initrd(""));
    let log = vm.chardev(LogFile::new(""));
    vm.isa_serial_console(log).build()?;
    Ok(())
}
