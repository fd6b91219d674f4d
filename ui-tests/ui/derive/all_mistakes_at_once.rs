use qemu_dsl::bus::Pci;
use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(device = "edu", virtio, bus = Pci, renam_all = "snake_case")]
struct Edu {
    #[qemu(renam = "dma_mask")]
    dma_mask: u64,
    #[qemu(since = "soon")]
    a: Option<u8>,
    #[qemu(rename = "a")]
    b: Option<u8>,
    #[qemu(rename = "x,y=z")]
    c: Option<u8>,
    #[qemu(since = "9.0", until = "8.0")]
    d: Option<u8>,
    #[qemu(implied = "x")]
    e: Option<u8>,
}

fn main() {}
