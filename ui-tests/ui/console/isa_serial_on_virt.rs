use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(256));
    let stdio = vm.chardev(Stdio::new());
    let vm = vm.isa_serial_console(stdio);
}
