use qemu_dsl::HostFacts;
use qemu_dsl::prelude::*;

fn main() {
    if let Some(proof) = HostFacts::example().tsc_deadline() {
        let machine = Pc::new().without_timers(proof);
    }
}
