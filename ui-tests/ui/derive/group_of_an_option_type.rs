use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu {
    #[qemu(flatten)]
    x: u32,
}

fn main() {}
