use qemu_dsl::prelude::*;

fn main() {
    let _vm = Vm::new(Q35::new(), Tcg::new(), mib!(256));
}
