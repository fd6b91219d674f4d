use qemu_dsl::prelude::*;

fn main() {
    let drive = Drive::new("root.raw", Format::Raw).aio(Aio::Native);
}
