use qemu_dsl::prelude::*;

fn main() {
    let vm = Vm::new(Pc::new(), Haswell::new(), Tcg::new(), mib!(256));
}
