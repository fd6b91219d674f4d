use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(device = "edu")]
struct Edu {
    dma_mask: u64,
}

fn main() {}
