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
        cpus: u32,
        maxcpus: Option<u32>,
    ) -> [Option<BuildError>; 2] {
        let all = maxcpus.unwrap_or(cpus);
        let too_many = self.facts.max_cpus(self.effective(qemu), self.hardware).filter(|max| all > *max);
        let plugged = all > cpus && !self.facts.hotplugs_cpus;
        [
            too_many.map(|max| {
                let remedy = self.facts.remedy_for_cpus(all, self.hardware);
                BuildError::TooManyCpus { cpus: all, max, remedy }
            }),
            plugged.then_some(BuildError::NoCpuHotplug { machine: self.facts.name, cpus, maxcpus: all }),
        ]
    }

    pub(super) fn check(&self, qemu: Option<QemuVersion>, mmio: u32, pci: u32, boots: bool) -> [Option<BuildError>; 3] {
        let version = self.effective(qemu);
        let facts = self.facts;
        [
            facts.mmio_slots.at(version).filter(|slots| mmio > *slots).map(|slots| BuildError::MmioSlots {
                devices: mmio,
                slots,
                remedy: facts.remedy_for_mmio(mmio, version),
            }),
            facts.pci_slots.at(version).filter(|slots| pci > *slots).map(|slots| BuildError::PciSlots {
                machine: facts.name,
                devices: pci,
                slots,
            }),
            (!boots && !facts.boots_disks).then_some(BuildError::NothingToBoot { machine: facts.name }),
        ]
    }
}
