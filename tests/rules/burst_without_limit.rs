{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    for drive in [
        Drive::new("a.raw", Format::Raw).bps_max(100 << 20),
        Drive::new("b.raw", Format::Raw).iops(1000).iops_max(500),
    ] {
        let disk = vm.drive(drive);
        vm.add(VirtioBlk::new(disk));
    }
    vm.build()?;
    Ok(())
}
