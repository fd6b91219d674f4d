use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
struct Inner {
    a: u32,
}

#[derive(QemuOpts)]
struct Middle {
    #[qemu(flatten)]
    inner: Inner,
}

#[derive(QemuOpts)]
struct Outer {
    a: u32,
    #[qemu(flatten)]
    middle: Middle,
}

#[derive(QemuOpts)]
#[qemu(tag = "a")]
enum Tagged {
    Plain(Inner),
}

fn main() {}
