{
    use qemu_dsl::backend::ReadOnlyImage;
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    let data = vm.shared_image(ReadOnlyImage::new("data.raw", Format::Raw));
    let iothread = vm.iothread();
    vm.add(VirtioBlk::new(data.node()).iothread(iothread));
    vm.add(VirtioBlk::new(data.node()));
    vm.build()?;
    Ok(())
}
