{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.kernel(Kernel::new("vmlinuz").cmdline("root=/dev/vda \"console=ttyS1\""));
    let stdio = vm.chardev(Stdio::new());
    vm.isa_serial_console(stdio).build()?;
    Ok(())
}
