use qemu_dsl::prelude::*;

fn main() {
    let vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let _vm = vm.isa_serial_console(Stdio::new());
}
