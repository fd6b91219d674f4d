use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu", build)]
struct Edu {
    #[qemu(default = "seven")]
    x: u32,
}

fn main() {}
