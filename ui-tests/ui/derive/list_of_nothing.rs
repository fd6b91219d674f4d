use std::collections::BTreeMap;

use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
struct Edu {
    #[qemu(list)]
    a: BTreeMap<String, String>,
    #[qemu(list, flatten)]
    b: Vec<u8>,
}

fn main() {}
