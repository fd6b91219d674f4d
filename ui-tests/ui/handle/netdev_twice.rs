use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let net = vm.netdev(UserNetdev::new());
    for _ in 0..2 {
        vm.add(VirtioNet::new(net));
    }
}
