//! An own machine type that promises a UART and does not say what Linux calls it.
use qemu_dsl::accel::{Architecture, X86_64};
use qemu_dsl::machine::{HasUart, MachineFacts, MachineType};
use qemu_dsl::opts::Transport;
use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "isapc")]
struct IsaPc {}

impl MachineType for IsaPc {
    type Arch = X86_64;

    fn facts(&self) -> &'static MachineFacts {
        const { &MachineFacts::new("isapc", Architecture::X86_64, Transport::Pci) }
    }
}
impl HasUart for IsaPc {}

fn main() {}
