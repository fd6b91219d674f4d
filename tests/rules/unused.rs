{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let _disk = vm.drive(Drive::new("root.qcow2", Format::Qcow2));
    let _net = vm.netdev(UserNetdev::new());
    let (_console, [_agent]) = vm.virtio_serial();
    vm.build()?;
    Ok(())
}
