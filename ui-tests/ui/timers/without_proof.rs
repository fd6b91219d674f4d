use qemu_dsl::prelude::*;

fn main() {
    let machine = Microvm::new().without_timers();
}
