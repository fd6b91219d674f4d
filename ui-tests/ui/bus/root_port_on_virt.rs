use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(256));
    for chassis in 1..=4 {
        vm.add(PcieRootPort::new(chassis));
    }
}
