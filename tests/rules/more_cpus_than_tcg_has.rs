{
    use qemu_dsl::QemuVersion;
    use qemu_dsl::prelude::*;
    use qemu_dsl::vm::Target;
    let target = Target::default().version(QemuVersion::new(7, 2, 0));
    let mut vm = Vm::for_target(&target, Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.smp(Smp::new(256)?);
    vm.build()?;
    Ok(())
}
