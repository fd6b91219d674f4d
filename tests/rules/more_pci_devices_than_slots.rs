{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    for _ in 0..31 {
        let random = vm.rng_backend(RngRandom::urandom());
        vm.add(VirtioRng::new(random));
    }
    vm.build()?;
    Ok(())
}
