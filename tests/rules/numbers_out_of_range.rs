{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let disk = vm.drive(Drive::new("a.raw", Format::Raw).bps(u64::MAX));
    vm.add(VirtioBlk::new(disk));
    let disk = vm.drive(Drive::new("b.raw", Format::Raw));
    vm.add(VirtioBlk::new(disk).bootindex(1 << 31));
    vm.build()?;
    Ok(())
}
