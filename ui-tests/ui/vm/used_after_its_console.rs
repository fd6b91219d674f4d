use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let chardev = vm.chardev(Stdio::new());
    let _vm = vm.isa_serial_console(chardev);
    vm.name("guest");
}
