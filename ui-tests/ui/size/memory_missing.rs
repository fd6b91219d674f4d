use qemu_dsl::prelude::*;

fn main() {
    let vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new());
}
