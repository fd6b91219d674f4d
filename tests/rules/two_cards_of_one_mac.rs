{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    for _ in 0..2 {
        let net = vm.netdev(UserNetdev::new());
        vm.add(VirtioNet::new(net).mac(MacAddress::parse("52:54:00:00:00:01")?));
    }
    vm.build()?;
    Ok(())
}
