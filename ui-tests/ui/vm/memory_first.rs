use qemu_dsl::prelude::*;

fn main() {
    let _vm = Vm::new(mib!(256), Pc::new(), Tcg::new(), Haswell::new());
}
