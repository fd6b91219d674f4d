use qemu_dsl::prelude::*;

fn balloon(vm: &mut impl AnyVm) {
    vm.add(PcieRootPort::new(1));
}

fn main() {}
