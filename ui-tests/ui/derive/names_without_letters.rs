use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "")]
struct Edu {
    #[qemu(rename = "")]
    a: u32,
    __: u32,
    größe: u32,
}

fn main() {}
