{
    use qemu_dsl::machine::GicVersion;
    use qemu_dsl::prelude::*;
    let machine = Virt::new().gic_version(GicVersion::V2);
    let mut vm = Vm::new(machine, Tcg::new(), CortexA57::new(), mib!(64));
    vm.smp(Smp::new(9)?);
    vm.build()?;
    Ok(())
}
