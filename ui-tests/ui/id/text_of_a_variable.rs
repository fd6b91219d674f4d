use qemu_dsl::prelude::*;

fn main() {
    let name = String::from("disk0");
    let _id = id!(name);
}
