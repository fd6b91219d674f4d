use qemu_dsl::bus::{Bus, ProvidesBus};
use qemu_dsl::prelude::*;

/// SCSI.
struct Scsi;
impl Bus for Scsi {}

/// I2C.
struct I2c;
impl Bus for I2c {}

#[derive(QemuOpts)]
#[qemu(device = "virtio-scsi", virtio)]
struct VirtioScsi {}

impl ProvidesBus for VirtioScsi {
    type Provides = Scsi;
}

#[derive(QemuOpts)]
#[qemu(device = "at24c-eeprom", bus = I2c)]
struct Eeprom {}

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let scsi = vm.add_bus(VirtioScsi {});
    vm.add_to(&scsi, Eeprom {});
}
