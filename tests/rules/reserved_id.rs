{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let null = vm.chardev_as(id!("compat_monitor0"), NullChardev {});
    vm.qmp(SocketPath::new("qmp.sock")?);
    vm.isa_serial_console(null).build()?;
    Ok(())
}
