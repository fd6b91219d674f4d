use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let (_, ports) = vm.virtio_serial::<2>();
    let [first, second, third] = ports;
}
