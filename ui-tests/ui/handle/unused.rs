#![deny(unused_must_use)]
use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.drive(Drive::new("root.raw", Format::Raw));
}
