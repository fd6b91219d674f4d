use qemu_dsl::HostFacts;
use qemu_dsl::facts::{HostAccel, Platform};
use qemu_dsl::prelude::*;

fn main() {
    if let Platform::X86_64(HostAccel::Kvm(kvm)) = HostFacts::example().platform() {
        let vm = Vm::new(Virt::new(), kvm, Host::new(), mib!(256));
    }
}
