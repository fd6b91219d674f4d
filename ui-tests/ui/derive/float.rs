use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu {
    x: f64,
}

fn main() {}
