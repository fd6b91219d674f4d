use qemu_dsl::bus::HasBus;
use qemu_dsl::bus::Pci;
use qemu_dsl::machine::Virt;

impl HasBus<Pci> for Virt {}

fn main() {}
