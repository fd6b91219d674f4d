use qemu_dsl::accel::AnyAccel;
use qemu_dsl::machine::AnyMachine;
use qemu_dsl::prelude::*;

fn port(vm: &mut Vm<AnyMachine, AnyAccel>) {
    vm.add(PcieRootPort::new(1));
}

fn main() {}
