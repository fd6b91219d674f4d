use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(256));
    let stdio = vm.chardev(Stdio::new());
    let vm = vm.pl011_console(stdio);
}
