{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    for (queues, size) in [(0, 128), (1025, 128), (1, 100)] {
        let disk = vm.drive(Drive::new("disk.raw", Format::Raw));
        vm.add(VirtioBlk::new(disk).num_queues(queues).queue_size(size));
    }
    vm.build()?;
    Ok(())
}
