{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    for (image, queues, size) in [("a.raw", 0, 128), ("b.raw", 1025, 128), ("c.raw", 1, 100)] {
        let disk = vm.drive(Drive::new(image, Format::Raw));
        vm.add(VirtioBlk::new(disk).num_queues(queues).queue_size(size));
    }
    vm.build()?;
    Ok(())
}
