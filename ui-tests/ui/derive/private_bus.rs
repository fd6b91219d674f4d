use qemu_dsl::bus::Bus;
use qemu_dsl::prelude::*;

struct Own;
impl Bus for Own {}

#[derive(QemuOpts)]
#[qemu(device = "edu", bus = Own)]
pub struct Edu {
    a: u8,
}

fn main() {}
