use qemu_dsl::HostFacts;
use qemu_dsl::prelude::*;

fn main() {
    if let Some(proof) = HostFacts::example().tsc_deadline() {
        let machine = Microvm::new().without_timers(proof);
        let vm = Vm::new(machine, Tcg::new(), Haswell::new(), mib!(256));
    }
}
