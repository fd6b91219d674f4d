use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
enum Nothing {}

fn main() {}
