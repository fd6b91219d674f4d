use qemu_dsl::prelude::*;

fn disk(vm: &mut impl AnyVm) {
    let drive = vm.drive(Drive::new("root.raw", Format::Raw));
    vm.add(Nvme::new(drive, DiskSerial::new("disk-1").unwrap()));
}

fn main() {}
