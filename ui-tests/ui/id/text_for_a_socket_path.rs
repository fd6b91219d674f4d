use qemu_dsl::prelude::*;

fn main() {
    let socket = Socket::listen("/run/vm/cmd.sock");
}
