{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let (_, ports) = vm.virtio_serial::<2>();
    for port in ports {
        let null = vm.chardev(NullChardev {});
        vm.add(VirtSerialPort::new(port, null).name("org.example.agent"));
    }
    vm.build()?;
    Ok(())
}
