use qemu_dsl::QemuVersion;
use qemu_dsl::prelude::*;

fn main() {
    let version = QemuVersion::new(11, 1, 0);
    if let Some(proof) = version.since::<8, 0>() {
        Reconnect::seconds(5, proof);
    }
}
