use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let (port, []) = vm.virtio_serial();
    let chardev = vm.chardev(Stdio::new());
    vm.virtconsole(port, chardev);
    vm.name("guest");
}
