{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let (_, ports) = vm.virtio_serial_ports(511);
    for port in ports {
        vm.spare_port(port);
    }
    vm.build()?;
    Ok(())
}
