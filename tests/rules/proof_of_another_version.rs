{
    use qemu_dsl::QemuVersion;
    use qemu_dsl::prelude::*;
    use qemu_dsl::vm::Target;
    let target = Target::default().version(QemuVersion::new(7, 2, 0));
    let mut vm = Vm::for_target(&target, Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
    vm.kernel(Kernel::new("Image"));
    let proof = QemuVersion::new(10, 0, 0).since().ok_or("it is 10.0")?;
    let iothread = vm.iothread_since(id!("io"), proof);
    let disk = vm.drive(Drive::new("disk.raw", Format::Raw));
    vm.add(VirtioBlk::new(disk).iothread(iothread));
    vm.build()?;
    Ok(())
}
