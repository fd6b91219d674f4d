use qemu_dsl::accel::{Kvm, X86_64};
use qemu_dsl::prelude::*;

fn main() {
    let _vm = Vm::new(Pc::new(), Kvm::<X86_64>::new(), Host::new(), mib!(64));
}
