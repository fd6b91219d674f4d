{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Virt::new().highmem(false), Tcg::new(), CortexA57::new(), mib!(4096));
    vm.kernel(Kernel::new("Image"));
    vm.build()?;
    Ok(())
}
