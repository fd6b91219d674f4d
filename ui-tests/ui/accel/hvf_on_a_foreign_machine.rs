use qemu_dsl::HostFacts;
use qemu_dsl::facts::{HostAccel, Platform};
use qemu_dsl::prelude::*;

fn main() {
    if let Platform::Aarch64(HostAccel::Hvf(hvf)) = HostFacts::example().platform() {
        let vm = Vm::new(Pc::new(), hvf, Host::new(), mib!(256));
    }
}
