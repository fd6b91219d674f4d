use qemu_dsl::accel::Accelerator;
use qemu_dsl::machine::MachineType;
use qemu_dsl::prelude::*;

fn balloon<M: MachineType, A: Accelerator>(vm: &mut Vm<M, A>) {
    vm.add(VirtioBalloon::new());
}

fn main() {}
