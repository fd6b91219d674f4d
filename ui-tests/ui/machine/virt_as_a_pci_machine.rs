//! A machine type without PCI where one with PCI is chosen at run time.
use qemu_dsl::machine::AnyPciMachine;
use qemu_dsl::prelude::*;

fn main() {
    let machine = AnyPciMachine::from(Virt::new());
}
