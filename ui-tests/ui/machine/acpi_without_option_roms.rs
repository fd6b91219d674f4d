use qemu_dsl::prelude::*;

fn main() {
    let machine = Microvm::with_acpi().without_option_roms();
}
