use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu", check = Edu::judge)]
struct Edu {
    x: u32,
}

fn main() {}
