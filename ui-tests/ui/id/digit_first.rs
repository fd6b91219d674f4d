use qemu_dsl::prelude::*;

fn main() {
    let _id = id!("0disk");
}
