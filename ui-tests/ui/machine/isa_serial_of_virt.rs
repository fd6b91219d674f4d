use qemu_dsl::prelude::*;

fn main() {
    let machine = Virt::new().without_isa_serial();
}
