{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let _ = vm.drive(Drive::new("a.raw", Format::Raw).bps_max(100 << 20));
    let _ = vm.drive(Drive::new("b.raw", Format::Raw).iops(1000).iops_max(500));
    vm.build()?;
    Ok(())
}
