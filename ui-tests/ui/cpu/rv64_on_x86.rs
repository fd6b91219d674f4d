//! A RISC-V model on a PC.
use qemu_dsl::prelude::*;

fn main() {
    let vm = Vm::new(Q35::new(), Tcg::new(), Rv64::new(), mib!(256));
}
