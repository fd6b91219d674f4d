use qemu_dsl::prelude::*;

fn main() {
    let _vm = Vm::new("q35", Tcg::new(), Haswell::new(), mib!(256));
}
