use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(virtio)]
struct Edu {
    x: u32,
}

fn main() {}
