{
    use qemu_dsl::HostFacts;
    use qemu_dsl::accel::AnyAccel;
    use qemu_dsl::cpu::BestCpu;
    use qemu_dsl::machine::AnyVirtioMachine;
    use qemu_dsl::prelude::*;
    let proof = HostFacts::example().tsc_deadline().ok_or("this host has none")?;
    let machine = AnyVirtioMachine::from(Microvm::new().without_timers(proof));
    let mut vm = Vm::new(machine, AnyAccel::from(Tcg::new()), BestCpu::new(), mib!(64));
    vm.kernel(Kernel::new("vmlinuz"));
    vm.build()?;
    Ok(())
}
