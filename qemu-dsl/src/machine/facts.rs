use super::{Uart, Versions};
use crate::accel::Architecture;
use crate::opts::Transport;
use crate::{Memory, QemuVersion};

/// What a machine type provides and how much of it, with certain options set: the data that traits, checks, messages and tests
/// are made from.
///
/// [`machine!`](crate::machine!) makes them for a machine type; by hand it is:
///
/// ```
/// use qemu_dsl::accel::Architecture;
/// use qemu_dsl::machine::MachineFacts;
/// use qemu_dsl::opts::Transport;
/// const SBSA: MachineFacts =
///     MachineFacts::new("sbsa-ref", Architecture::Aarch64, Transport::Pci).cpus(&[((5, 2), 512)]).boots_disks();
/// assert_eq!(SBSA.cpus.at(None), Some(512));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachineFacts {
    /// What QEMU calls the machine type: `pc`.
    pub name: &'static str,
    /// What it is in Rust: `Pc`, `Microvm::with_acpi()`.
    pub of: &'static str,
    /// What stands behind `-machine` in the case that these facts are of: `virt,gic-version=2`.
    pub text: &'static str,
    /// The guest's instruction set.
    pub architecture: Architecture,
    /// How virtio devices are attached.
    pub transport: Transport,
    /// The UART that Linux gives a console on, where there is one and it is on.
    pub uart: Option<Uart>,
    /// How many CPUs there can be: `cpu-max` of `query-machines`.
    pub cpus: Limit,
    /// How many of them TCG can have, where that is fewer.
    pub tcg_cpus: Limit,
    /// How many virtio-mmio devices fit.
    pub mmio_slots: Limit,
    /// How many PCI devices fit beside those that the board has. Without a limit there is no PCI, or nothing is known of it.
    pub pci_slots: Limit,
    /// How much memory there can be.
    pub max_memory: Option<Memory>,
    /// Whether it starts from a disk, by the firmware that QEMU gives it, when there is no kernel.
    pub boots_disks: bool,
    /// Whether CPUs can be plugged in while it runs.
    pub hotplugs_cpus: bool,
    /// Whether QEMU announces virtio-mmio devices on the kernel command line.
    pub announces_mmio: bool,
    /// Whether it needs hardware acceleration: without timers it does.
    pub needs_hardware: bool,
    /// Its names that end in a version.
    pub versions: Option<Versions>,
}

impl MachineFacts {
    /// The facts of a machine type without a UART and without known limits, which boots no disks by itself.
    pub const fn new(name: &'static str, architecture: Architecture, transport: Transport) -> Self {
        Self {
            name,
            of: name,
            text: name,
            architecture,
            transport,
            uart: None,
            cpus: Limit::NONE,
            tcg_cpus: Limit::NONE,
            mmio_slots: Limit::NONE,
            pci_slots: Limit::NONE,
            max_memory: None,
            boots_disks: false,
            hotplugs_cpus: false,
            announces_mmio: false,
            needs_hardware: false,
            versions: None,
        }
    }

    /// What it is called in Rust.
    #[must_use]
    pub const fn of(mut self, of: &'static str) -> Self {
        self.of = of;
        self
    }

    /// What stands behind `-machine`.
    #[must_use]
    pub const fn text(mut self, text: &'static str) -> Self {
        self.text = text;
        self
    }

    /// The UART.
    #[must_use]
    pub const fn uart(mut self, uart: Uart) -> Self {
        self.uart = Some(uart);
        self
    }

    /// How many CPUs there can be. [`Limit`] says how limits are written.
    #[must_use]
    pub const fn cpus(mut self, limit: &'static [((u16, u16), u32)]) -> Self {
        self.cpus = Limit::since(limit);
        self
    }

    /// How many CPUs TCG can have.
    #[must_use]
    pub const fn tcg_cpus(mut self, limit: &'static [((u16, u16), u32)]) -> Self {
        self.tcg_cpus = Limit::since(limit);
        self
    }

    /// How many virtio-mmio devices fit.
    #[must_use]
    pub const fn mmio_slots(mut self, limit: &'static [((u16, u16), u32)]) -> Self {
        self.mmio_slots = Limit::since(limit);
        self
    }

    /// How many PCI devices fit beside those of the board.
    #[must_use]
    pub const fn pci_slots(mut self, limit: &'static [((u16, u16), u32)]) -> Self {
        self.pci_slots = Limit::since(limit);
        self
    }

    /// How much memory there can be.
    #[must_use]
    pub const fn max_memory(mut self, memory: Memory) -> Self {
        self.max_memory = Some(memory);
        self
    }

    /// It starts from a disk when there is no kernel.
    #[must_use]
    pub const fn boots_disks(mut self) -> Self {
        self.boots_disks = true;
        self
    }

    /// CPUs can be plugged in.
    #[must_use]
    pub const fn hotplugs_cpus(mut self) -> Self {
        self.hotplugs_cpus = true;
        self
    }

    /// QEMU announces virtio-mmio devices on the kernel command line.
    #[must_use]
    pub const fn announces_mmio(mut self) -> Self {
        self.announces_mmio = true;
        self
    }

    /// It needs hardware acceleration.
    #[must_use]
    pub const fn needs_hardware(mut self) -> Self {
        self.needs_hardware = true;
        self
    }

    /// Its UART is off.
    #[must_use]
    pub const fn without_uart(mut self) -> Self {
        self.uart = None;
        self
    }

    /// Its names that end in a version.
    #[must_use]
    pub const fn versions(mut self, versions: Versions) -> Self {
        self.versions = Some(versions);
        self
    }

    /// The limits for CPUs that hold under hardware acceleration or TCG.
    fn cpu_limits(&self, hardware: bool) -> [Limit; 2] {
        [self.cpus, if hardware { Limit::NONE } else { self.tcg_cpus }]
    }

    /// How many CPUs there can be in this QEMU.
    ///
    /// ```
    /// use qemu_dsl::QemuVersion;
    /// use qemu_dsl::machine::{MachineType, Q35};
    /// let facts = Q35::new().facts();
    /// let (old, new) = (QemuVersion::new(7, 2, 0), QemuVersion::new(10, 0, 0));
    /// assert_eq!((facts.max_cpus(Some(old), true), facts.max_cpus(Some(old), false)), (Some(288), Some(255)));
    /// assert_eq!(facts.max_cpus(Some(new), false), Some(4096));
    /// ```
    pub fn max_cpus(&self, version: Option<QemuVersion>, hardware: bool) -> Option<u32> {
        self.cpu_limits(hardware).iter().filter_map(|limit| limit.at(version)).min()
    }

    /// Words for more CPUs than there can be in this QEMU: what to do, with a colon before it. Empty where nothing helps.
    pub(crate) fn remedy_for_cpus(&self, cpus: u32, hardware: bool) -> String {
        let limits = self.cpu_limits(hardware);
        let since = limits.map(|limit| limit.first_for(cpus));
        match since {
            [Some(a), Some(b)] => newer(a.max(b)),
            _ => String::new(),
        }
    }

    /// Words for more virtio-mmio devices than fit: which relative of the machine type takes them.
    pub(crate) fn remedy_for_mmio(&self, devices: u32, version: Option<QemuVersion>) -> String {
        if self.transport == Transport::Pci {
            return ": leave `OnMmio` out for some of them, and they are PCI devices".to_owned();
        }
        let known = super::ALL.iter().copied().flatten();
        let relatives = known.filter(|row| row.name == self.name && row.architecture == self.architecture);
        let mut words = Vec::new();
        for row in relatives.filter(|row| row.of != self.of) {
            match row.mmio_slots.at(version) {
                _ if row.transport == Transport::Pci => words.push(format!("`{}` has PCI", row.of)),
                Some(slots) if slots >= devices => words.push(format!("`{}` has {slots}", row.of)),
                _ => {}
            }
        }
        words.dedup();
        match (words.is_empty(), self.mmio_slots.first_for(devices)) {
            (_, Some(since)) if version.is_none_or(|version| !version.is_at_least(since.0, since.1)) => newer(since),
            (true, _) => ": use a machine type with PCI".to_owned(),
            (false, _) => format!(": {}", words.join(", ")),
        }
    }
}

fn newer((major, minor): (u16, u16)) -> String {
    if (major, minor) == (0, 0) {
        return String::new();
    }
    format!(", or QEMU {major}.{minor}: `Target::version` says which one it is")
}

/// What a QEMU of unknown version counts as.
const OLDEST: QemuVersion = QemuVersion::new(5, 2, 0);

/// How many of something there can be, by the version of QEMU: `&[((5, 2), 8), ((10, 0), 512)]` is 8, and 512 in 10.0 and
/// later. The first number is also that of older versions. A version that nobody knows counts as 5.2, the oldest one that is tested.
///
/// ```
/// use qemu_dsl::QemuVersion;
/// use qemu_dsl::machine::Limit;
/// const CPUS: Limit = Limit::since(&[((5, 2), 8), ((10, 0), 512)]);
/// assert_eq!(CPUS.at(None), Some(8));
/// assert_eq!(CPUS.at(Some(QemuVersion::new(9, 2, 0))), Some(8));
/// assert_eq!(CPUS.at(Some(QemuVersion::new(11, 1, 3))), Some(512));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(&'static [((u16, u16), u32)]);

impl Limit {
    /// No limit that is known.
    pub const NONE: Self = Self(&[]);

    /// A limit by version, oldest first.
    pub const fn since(limits: &'static [((u16, u16), u32)]) -> Self {
        Self(limits)
    }

    /// The limit in this version.
    pub fn at(self, version: Option<QemuVersion>) -> Option<u32> {
        let version = version.unwrap_or(OLDEST);
        let holds = |((major, minor), _): &&((u16, u16), u32)| version.is_at_least(*major, *minor);
        self.0.iter().rev().find(holds).or(self.0.first()).map(|(_, limit)| *limit)
    }

    /// The limits, each with the version from which on it holds.
    pub const fn all(self) -> &'static [((u16, u16), u32)] {
        self.0
    }

    /// The first version that can have so many; 0.0 where there is no limit.
    fn first_for(self, count: u32) -> Option<(u16, u16)> {
        if self.0.is_empty() {
            return Some((0, 0));
        }
        self.0.iter().find(|(_, limit)| *limit >= count).map(|(since, _)| *since)
    }
}
