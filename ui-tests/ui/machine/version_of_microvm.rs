//! A version of a machine type that has no versions.
use qemu_dsl::prelude::*;

fn main() {
    let machine = Microvm::new().versioned(7, 2);
}
