use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(device = "edu", bus = Pci)]
struct Edu {
    x: u32,
}

fn main() {}
