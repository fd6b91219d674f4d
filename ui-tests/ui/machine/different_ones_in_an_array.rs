use qemu_dsl::machine::{AnyMachine, Pc, Q35};

fn main() {
    let _machines: [AnyMachine; 2] = [Pc::new(), Q35::new()];
}
