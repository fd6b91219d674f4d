use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(value)]
struct Cache {
    none: bool,
}

fn main() {}
