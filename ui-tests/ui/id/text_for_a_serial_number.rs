use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let disk = vm.drive(Drive::new("root.raw", Format::Raw));
    vm.add(VirtioBlk::new(disk).serial("disk-1"));
}
