{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    for image in ["a.raw", "b.raw"] {
        let disk = vm.drive(Drive::new(image, Format::Raw));
        vm.add(VirtioBlk::new(disk).serial(DiskSerial::new("data")?));
    }
    vm.build()?;
    Ok(())
}
