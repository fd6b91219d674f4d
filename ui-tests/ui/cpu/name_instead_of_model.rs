use qemu_dsl::prelude::*;

fn main() {
    let vm = Vm::new(Q35::new(), Tcg::new(), "host", mib!(256));
}
