use qemu_dsl::QemuVersion;
use qemu_dsl::prelude::*;

fn main() {
    let _reconnect = Reconnect::milliseconds(100, QemuVersion::new(9, 2, 0));
}
