{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    for image in ["a.raw", "b.raw"] {
        let disk = vm.drive(Drive::new(image, Format::Raw));
        vm.add(VirtioBlk::new(disk).bootindex(0));
        vm.add(PcieRootPort::new(1).slot(3));
    }
    vm.build()?;
    Ok(())
}
