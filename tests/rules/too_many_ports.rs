{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let (_, _ports) = vm.virtio_serial_ports(511);
    vm.build()?;
    Ok(())
}
