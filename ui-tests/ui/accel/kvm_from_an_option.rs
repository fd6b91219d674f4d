use qemu_dsl::HostFacts;
use qemu_dsl::accel::X86_64;
use qemu_dsl::prelude::*;

fn vm(facts: &HostFacts) {
    let _vm = Vm::new(Pc::new(), facts.kvm::<X86_64>(), Host::new(), mib!(64));
}

fn main() {}
