//! What a VM is checked for against the facts of its machine type.

use super::error::BuildError;
use super::inner::Board;
use crate::QemuVersion;

impl Board {
    /// The version of QEMU whose limits hold: that of an older machine in a newer QEMU is the machine's.
    fn effective(&self, qemu: Option<QemuVersion>) -> Option<QemuVersion> {
        let machine = self.version.map(|(major, minor)| QemuVersion::new(major, minor, 0));
        match (qemu, machine) {
            (Some(qemu), Some(machine)) => Some(qemu.min(machine)),
            (qemu, machine) => qemu.or(machine),
        }
    }

    /// An accelerator of another architecture's, or none where there has to be one: found at run time where they are chosen
    /// there.
    pub(super) fn foreign(&self) -> Option<BuildError> {
        let guest = self.facts.architecture;
        match self.only_for {
            Some(host) if host != guest => Some(BuildError::ForeignAccelerator { host, guest }),
            None if self.facts.needs_hardware && !self.hardware => Some(BuildError::NeedsHardware),
            _ => None,
        }
    }

    pub(super) fn check_cpus(
        &self,
        qemu: Option<QemuVersion>,
        (cpus, maxcpus): (u32, Option<u32>),
        errors: &mut Vec<BuildError>,
    ) {
        let all = maxcpus.unwrap_or(cpus);
        if let Some(max) = self.facts.max_cpus(self.effective(qemu), self.hardware).filter(|max| all > *max) {
            let remedy = self.facts.remedy_for_cpus(all, self.hardware);
            errors.push(BuildError::TooManyCpus { cpus: all, max, remedy });
        }
        if all > cpus && !self.facts.hotplugs_cpus {
            errors.push(BuildError::NoCpuHotplug { machine: self.facts.name, cpus, maxcpus: all });
        }
    }

    pub(super) fn check(
        &self,
        qemu: Option<QemuVersion>,
        (mmio, pci): (u32, u32),
        boots: bool,
        errors: &mut Vec<BuildError>,
    ) {
        let version = self.effective(qemu);
        let facts = self.facts;
        if let Some(slots) = facts.mmio_slots.at(version).filter(|slots| mmio > *slots) {
            let remedy = facts.remedy_for_mmio(mmio, version);
            errors.push(BuildError::MmioSlots { devices: mmio, slots, remedy });
        }
        if let Some(slots) = facts.pci_slots.at(version).filter(|slots| pci > *slots) {
            errors.push(BuildError::PciSlots { machine: facts.name, devices: pci, slots });
        }
        if !boots && !facts.boots_disks {
            errors.push(BuildError::NothingToBoot { machine: facts.name });
        }
    }
}
