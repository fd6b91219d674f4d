{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let console = vm.chardev(Stdio::new());
    let (_, [agent]) = vm.virtio_serial();
    let stdio = vm.chardev(Stdio::new());
    vm.add(VirtSerialPort::new(agent, stdio));
    vm.isa_serial_console(console).build()?;
    Ok(())
}
