use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(256));
    let disk = vm.drive(Drive::new("disk.raw", Format::Raw));
    vm.add(Nvme::new(disk, DiskSerial::new("1").unwrap()));
}
