use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let fronts = vm.mux_chardev(Stdio::new());
    vm.qmp_on(fronts);
}
