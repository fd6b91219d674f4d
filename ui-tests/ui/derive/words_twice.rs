use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(value, read)]
enum Mode {
    FooBar,
    #[qemu(rename = "foo-bar")]
    Other,
}

#[derive(QemuOpts)]
#[qemu(tag = "type")]
enum Address {
    Unix { path: String },
    #[qemu(rename = "unix")]
    Inet { r#type: u8 },
}

fn main() {}
