use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let (port, []) = vm.virtio_serial();
    let [one, two, ..] = vm.mux_chardev(Stdio::new());
    let vm = vm.virtconsole(port, one);
    let _vm = vm.virtconsole(port, two);
}
