use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(256));
    vm.add(OnMmio(VirtioBalloon::new()));
}
