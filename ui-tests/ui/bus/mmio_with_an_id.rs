use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(VirtPcie::new(), Tcg::new(), CortexA57::new(), mib!(256));
    vm.add(OnMmio(VirtioBalloon::new())); // fine: the board has both
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(256));
    vm.add_as(id!("balloon"), OnMmio(VirtioBalloon::new()));
}
