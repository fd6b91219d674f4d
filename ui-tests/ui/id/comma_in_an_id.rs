use qemu_dsl::prelude::*;

fn main() {
    let _id = id!("disk,0");
}
