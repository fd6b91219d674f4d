use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let net = vm.netdev(VirtioBalloon::new());
}
