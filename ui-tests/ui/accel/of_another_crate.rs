use qemu_dsl::prelude::*;

struct Xen;

fn main() {
    let _vm = Vm::new(Pc::new(), Xen, Haswell::new(), mib!(64));
}
