use qemu_dsl::prelude::*;

fn main() {
    let _vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), "256M");
}
