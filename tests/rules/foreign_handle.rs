{
    use qemu_dsl::prelude::*;
    let mut first = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let mut second = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let disk = first.drive(Drive::new("root.qcow2", Format::Qcow2));
    second.add(VirtioBlk::new(disk));
    second.build()?;
    Ok(())
}
