use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(256));
    let iothread = vm.iothread();
}
