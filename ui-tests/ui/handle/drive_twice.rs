use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let disk = vm.drive(Drive::new("root.qcow2", Format::Qcow2));
    vm.add(VirtioBlk::new(disk));
    vm.add(VirtioBlk::new(disk));
}
