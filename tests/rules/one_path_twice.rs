{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let (_, [agent, log]) = vm.virtio_serial();
    let socket = vm.chardev(Socket::listen(SocketPath::new("vm.sock")?));
    vm.add(VirtSerialPort::new(agent, socket));
    vm.qmp(SocketPath::new("vm.sock")?);
    let disk = vm.drive(Drive::new("disk.raw", Format::Raw));
    vm.add(VirtioBlk::new(disk));
    let file = vm.chardev(LogFile::new("disk.raw"));
    vm.add(VirtSerialPort::new(log, file));
    vm.build()?;
    Ok(())
}
