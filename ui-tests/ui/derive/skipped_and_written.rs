use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu {
    #[qemu(skip, rename = "y")]
    x: u32,
}

fn main() {}
