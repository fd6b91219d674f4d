use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu {
    #[qemu(since = 9.2)]
    x: u32,
}

fn main() {}
