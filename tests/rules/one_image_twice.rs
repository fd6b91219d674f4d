{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    for _ in 0..2 {
        let disk = vm.drive(Drive::new("disk.raw", Format::Raw));
        vm.add(VirtioBlk::new(disk));
    }
    vm.build()?;
    Ok(())
}
