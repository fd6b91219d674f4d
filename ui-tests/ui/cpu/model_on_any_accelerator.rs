use qemu_dsl::accel::AnyAccel;
use qemu_dsl::prelude::*;

fn vm(accelerator: AnyAccel) {
    let _vm = Vm::new(Pc::new(), accelerator, Host::new(), mib!(64));
}

fn main() {}
