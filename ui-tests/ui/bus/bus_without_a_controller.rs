use qemu_dsl::bus::Bus;
use qemu_dsl::prelude::*;

/// SCSI.
struct Scsi;
impl Bus for Scsi {}

#[derive(QemuOpts)]
#[qemu(device = "scsi-hd", bus = Scsi)]
struct ScsiDisk {}

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.add(ScsiDisk {});
}
