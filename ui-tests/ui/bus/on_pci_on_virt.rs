use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
    vm.add(OnPci(VirtioBalloon::new()));
}
