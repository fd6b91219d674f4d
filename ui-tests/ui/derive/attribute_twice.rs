use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu", implied = "edu2")]
struct Edu {
    #[qemu(rename = "a", rename = "b")]
    x: u32,
}

fn main() {}
