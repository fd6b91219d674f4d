{
    use qemu_dsl::bus::Pci;
    use qemu_dsl::prelude::*;

    #[derive(QemuOpts)]
    #[qemu(device = "edu", bus = Pci)]
    struct Edu {
        #[qemu(unique = "addr")]
        addr: u8,
    }

    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.add(Edu { addr: 5 }).add(Edu { addr: 5 });
    vm.build()?;
    Ok(())
}
