use qemu_dsl::prelude::*;

fn main() {
    let vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let _first = vm.build();
    let _second = vm.build();
}
