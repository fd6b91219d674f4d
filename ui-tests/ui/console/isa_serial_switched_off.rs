use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Microvm::new().without_isa_serial(), Tcg::new(), Haswell::new(), mib!(256));
    let stdio = vm.chardev(Stdio::new());
    let vm = vm.isa_serial_console(stdio);
}
