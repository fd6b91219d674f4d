use qemu_dsl::bus::Pci;
use qemu_dsl::prelude::*;

/// QEMU's teaching device.
#[derive(QemuOpts)]
#[qemu(device = "edu", bus = Pci, build)]
struct Edu {
    /// Address bits of the DMA engine.
    dma_mask: u64,
    /// A name.
    label: Option<String>,
}

fn main() {
    let _ = Edu::new();
    let _ = Edu::new(1).label(2);
}
