use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(value)]
enum Cache {
    None,
    Size { mib: u32 },
}

fn main() {}
