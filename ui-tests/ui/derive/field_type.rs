use std::time::Duration;

use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu {
    dma_mask: u64,
    timeout: Duration,
}

fn main() {}
