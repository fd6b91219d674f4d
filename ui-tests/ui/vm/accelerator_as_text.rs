use qemu_dsl::prelude::*;

fn main() {
    let _vm = Vm::new(Q35::new(), "tcg", Haswell::new(), mib!(256));
}
