#![deny(unused_variables)]
use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let (_, [channel]) = vm.virtio_serial();
}
