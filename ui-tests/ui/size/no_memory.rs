use qemu_dsl::prelude::*;

fn main() {
    let memory = mib!(0);
}
