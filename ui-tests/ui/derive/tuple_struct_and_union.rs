use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu(u64);

#[derive(QemuOpts)]
union Bits {
    a: u8,
    b: i8,
}

fn main() {}
