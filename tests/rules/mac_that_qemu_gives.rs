{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let first = vm.netdev(UserNetdev::new());
    vm.add(VirtioNet::new(first));
    let second = vm.netdev(UserNetdev::new());
    vm.add(VirtioNet::new(second).mac(MacAddress::parse("52:54:00:12:34:56")?));
    vm.build()?;
    Ok(())
}
