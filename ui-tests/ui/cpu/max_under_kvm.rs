use qemu_dsl::accel::{Kvm, X86_64};
use qemu_dsl::prelude::*;

fn vm(kvm: Kvm<X86_64>) {
    let _vm = Vm::new(Pc::new(), kvm, Max::new(), mib!(64));
}

fn main() {}
