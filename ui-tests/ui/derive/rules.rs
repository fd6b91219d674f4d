use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu {
    #[qemu(range = 1..5)]
    a: u8,
    #[qemu(range = 1..=)]
    b: u8,
    #[qemu(needs = "bsp")]
    bps_max: Option<u64>,
    bps: Option<u64>,
    #[qemu(conflicts = "c")]
    c: Option<u8>,
    #[qemu(flatten, range = 1..=2)]
    d: Group,
    #[qemu(default = 1)]
    e: u8,
    #[qemu(list, unique = "mac")]
    f: Vec<u8>,
}

#[derive(QemuOpts)]
struct Group {}

#[derive(QemuOpts)]
#[qemu(implied = "edu", build, setters)]
struct Twice {
    #[qemu(with = |a| a)]
    a: Option<u8>,
}

#[derive(QemuOpts)]
#[qemu(build)]
enum Built {
    One,
}

#[derive(QemuOpts)]
#[qemu(write_only)]
struct Old {}

fn main() {}
