use qemu_dsl::{QemuVersion, Since};
use qemu_dsl::prelude::*;

fn main() {
    let proof: Option<Since<8, 0>> = QemuVersion::new(9, 0, 0).since();
    if let Some(proof) = proof {
        let reconnect = Reconnect::milliseconds(250, proof);
    }
}
