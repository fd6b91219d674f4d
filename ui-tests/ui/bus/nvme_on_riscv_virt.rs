use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(RiscvVirt::new(), Tcg::new(), Rv64::new(), mib!(64));
    let disk = vm.drive(Drive::new("root.raw", Format::Raw));
    vm.add(Nvme::new(disk, DiskSerial::new("disk-0").unwrap()));
}
