use qemu_dsl::prelude::*;

fn main() {
    let size = 256;
    let _memory = mib!(size);
}
