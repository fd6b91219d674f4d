use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
enum Kind {
    A(u32),
    B,
}

fn main() {}
