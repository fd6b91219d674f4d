use qemu_dsl::prelude::*;

fn main() {
    let _memory = mib!(0);
}
