use qemu_dsl::backend::Chardev;
use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu", read)]
struct Edu {
    chardev: Chardev,
}

fn main() {}
