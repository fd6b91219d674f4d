{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.kernel(Kernel::new("vmlinuz"));
    vm.smp(Smp::new(1)?.max(4)?);
    vm.build()?;
    Ok(())
}
