{
    use qemu_dsl::backend::ReadOnlyImage;
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let image = ReadOnlyImage::new("data.raw", Format::Raw);
    let data = vm.shared_image_as(Id::parse("the-data-of-the-customer-number-7")?, image);
    vm.add(VirtioBlk::new(data.node()));
    vm.build()?;
    Ok(())
}
