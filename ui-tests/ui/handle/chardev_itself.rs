use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let vm = vm.isa_serial_console(Stdio::new());
}
