{
    use qemu_dsl::backend::Chardev;
    use qemu_dsl::bus::Pci;
    use qemu_dsl::prelude::*;
    #[derive(QemuOpts)]
    #[qemu(device = "pci-serial", bus = Pci)]
    struct PciSerial<'a> {
        chardev: &'a Chardev,
    }
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let log = vm.chardev(LogFile::new("console.log"));
    vm.add(PciSerial { chardev: &log });
    vm.isa_serial_console(log).build()?;
    Ok(())
}
