use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let (port, []) = vm.virtio_serial();
    vm.add(port);
}
