{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(VirtPcie::new(), Tcg::new(), CortexA57::new(), mib!(64));
    let disk = vm.drive(Drive::new("root.qcow2", Format::Qcow2));
    vm.add(VirtioBlk::new(disk));
    vm.build()?;
    Ok(())
}
