use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu {
    #[qemu(range = "1..=2")]
    x: u32,
}

fn main() {}
