use qemu_dsl::prelude::*;

fn port(vm: &mut impl AnyVm) {
    vm.add(PcieRootPort::new(1));
}

fn main() {}
