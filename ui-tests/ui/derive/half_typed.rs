use qemu_dsl::bus::Pci;
use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(device = "edu", bus = Pci)]
struct Edu {
    a: u8,
    b: 
}

#[derive(QemuOpts)]
#[qemu(device = "edu", bus = Pci)]
struct Tuple(u8);

fn add(vm: &mut Vm<Q35, Tcg>, edu: Edu) {
    vm.add(edu);
    vm.add(Tuple(1));
}

fn main() {}
