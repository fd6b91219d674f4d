use qemu_dsl::prelude::*;

fn main() {
    let reconnect = Reconnect::milliseconds(250);
}
