use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let net = vm.netdev(UserNetdev::new());
    vm.add(VirtioNet::new(net).mac("01:00:5e:00:00:01"));
}
