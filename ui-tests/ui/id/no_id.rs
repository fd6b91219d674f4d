use qemu_dsl::prelude::*;

fn main() {
    let id = id!("hd,0");
}
