{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(VirtPcie::new(), Tcg::new(), CortexA57::new(), mib!(64));
    vm.kernel(Kernel::new("Image"));
    let iothread = vm.iothread();
    let disk = vm.drive(Drive::new("disk.raw", Format::Raw));
    vm.add(OnMmio(VirtioBlk::new(disk).iothread(iothread)));
    vm.build()?;
    Ok(())
}
