{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.kernel(Kernel::new("vmlinuz"));
    for _ in 0..9 {
        let random = vm.rng_backend(RngRandom::urandom());
        vm.add(VirtioRng::new(random));
    }
    vm.build()?;
    Ok(())
}
