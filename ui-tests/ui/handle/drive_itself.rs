use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    vm.add(VirtioBlk::new(Drive::new("root.qcow2", Format::Qcow2)));
}
