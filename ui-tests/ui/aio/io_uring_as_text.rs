use qemu_dsl::prelude::*;

fn main() {
    let drive = Drive::new("root.qcow2", Format::Qcow2).aio("io_uring");
}
