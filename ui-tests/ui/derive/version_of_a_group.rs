use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Edu {
    #[qemu(flatten, since = "9.2")]
    group: Group,
}

#[derive(QemuOpts)]
struct Group {}

fn main() {}
