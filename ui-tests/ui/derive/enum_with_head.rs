use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "socket")]
enum Backend {
    Socket { path: String },
    Pair(u8, u8),
}

#[derive(QemuOpts)]
#[qemu(value)]
enum Mode {
    On,
    Custom { level: u8 },
}

#[derive(QemuOpts)]
enum Never {}

fn main() {}
