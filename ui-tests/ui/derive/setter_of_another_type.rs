use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(implied = "edu", build)]
struct Edu {
    x: Option<u32>,
}

fn main() {
    let _edu = Edu::new().x("7");
}
