//! A machine without timers under an accelerator that may be TCG.
use qemu_dsl::HostFacts;
use qemu_dsl::cpu::BestCpu;
use qemu_dsl::prelude::*;

fn main() {
    let facts = HostFacts::example();
    if let Some(proof) = facts.tsc_deadline() {
        let machine = Microvm::new().without_timers(proof);
        let vm = Vm::new(machine, facts.accelerator(), BestCpu::new(), mib!(256));
    }
}
