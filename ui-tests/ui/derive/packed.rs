use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
#[repr(C, packed)]
struct Edu {
    a: u8,
    b: u32,
}

fn main() {}
