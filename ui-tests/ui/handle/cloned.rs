use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let disk = vm.drive(Drive::new("root.raw", Format::Raw));
    vm.add(VirtioBlk::new(disk.clone()));
    vm.add(VirtioBlk::new(disk));
}
