use qemu_dsl::prelude::*;

fn main() {
    let vm = Vm::new(Virt::new(), Tcg::new(), Haswell::new(), mib!(256));
}
