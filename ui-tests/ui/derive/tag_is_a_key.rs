use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(tag = "type")]
enum Address {
    Unix {
        r#type: String,
    },
}

fn main() {}
