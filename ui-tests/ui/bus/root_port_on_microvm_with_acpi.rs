use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Microvm::with_acpi(), Tcg::new(), Haswell::new(), mib!(256));
    vm.add(PcieRootPort::new(1));
}
