{
    use qemu_dsl::prelude::*;
    let vm = Vm::new(Virt::new().highmem(false), Tcg::new(), CortexA57::new(), mib!(4096));
    vm.build()?;
    Ok(())
}
