use std::marker::PhantomData;

use super::{HasIsaSerial, HasUart, IoEventFd, MachineFacts, MachineType, RunsUnder, Uart};
use crate::accel::{AnyAccel, Architecture, Hvf, Kvm, Tcg, TscDeadline, X86_64};
use crate::bus::{HasBus, Isa, Pci, Virtio, VirtioMmio};
use crate::opts::{QemuOpts, Transport};

/// The machine type `microvm` (`x86_64)`: no PCI unless asked for, no legacy devices that a modern guest does not need,
/// and with `acpi=off` no firmware tables. (QEMU documentation, "microvm virtual platform")
///
/// The type parameters are settings that decide what else fits; you never write them:
///
/// | parameter | without a call | call | what it decides |
/// |---|---|---|---|
/// | `S` | [`IsaSerialOn`] | [`without_isa_serial`](Microvm::without_isa_serial) → [`IsaSerialOff`] | an ISA serial console |
/// | `T` | [`TimersOn`] | [`without_timers`](Microvm::without_timers) → [`TimersOff`] | needs a TSC deadline timer, not under TCG |
/// | `F` | [`NoAcpi`] | [`with_acpi`](Microvm::with_acpi) → [`Acpi`], [`with_pcie`](Microvm::with_pcie) → [`Pcie`] | how the guest finds devices, slots, PCI, option ROMs |
///
/// With `acpi=off` the devices stand on the kernel command line, and an x86 guest needs
/// `CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y` to read them there. Debian's kernels lack it: use [`Microvm::with_acpi`].
///
/// ```
/// use qemu_dsl::machine::Microvm;
/// use qemu_dsl::opts;
/// let machine = Microvm::new().without_isa_serial().mem_merge(false);
/// assert_eq!(opts::to_text(&machine)?, b"microvm,acpi=off,x-option-roms=off,isa-serial=off,mem-merge=off");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(implied = "microvm")]
pub struct Microvm<S = IsaSerialOn, T = TimersOn, F = NoAcpi> {
    /// ACPI tables. Without them the guest reads its devices from the kernel command line.
    acpi: bool,
    /// Option ROMs. `SeaBIOS` needs one to load a kernel; qboot, the firmware for `acpi=off`, does not.
    x_option_roms: bool,
    /// PCI Express.
    pcie: Option<bool>,
    /// The i8254 timer.
    pit: Option<bool>,
    /// The i8259 interrupt controller.
    pic: Option<bool>,
    /// The MC146818 real-time clock.
    rtc: Option<bool>,
    /// The ISA serial port.
    isa_serial: Option<bool>,
    /// Merging of equal memory pages (KSM).
    mem_merge: Option<bool>,
    /// Guest memory in core dumps of QEMU.
    dump_guest_core: Option<bool>,
    #[qemu(skip)]
    settings: PhantomData<(S, T, F)>,
}

macro_rules! settings {
    ($($(#[$meta:meta])* $name:ident: $of:ident, $what:ident: $ty:ty = $value:expr;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;
        impl sealed::Sealed for $name {}
        impl $of for $name {
            const $what: $ty = $value;
        }
    )*};
}
settings! {
    /// The ISA serial port is there. A marker in [`Microvm`], so it has no example.
    IsaSerialOn: IsaSerialSetting, ON: bool = true;
    /// The ISA serial port is switched off. A marker in [`Microvm`], so it has no example.
    IsaSerialOff: IsaSerialSetting, ON: bool = false;
    /// PIT, PIC and RTC are there. A marker in [`Microvm`], so it has no example.
    TimersOn: TimersSetting, ON: bool = true;
    /// PIT, PIC and RTC are switched off. A marker in [`Microvm`], so it has no example.
    TimersOff: TimersSetting, ON: bool = false;
    /// No ACPI: devices on the kernel command line. A marker in [`Microvm`], so it has no example.
    NoAcpi: FirmwareTables, FACTS: MachineFacts = facts(Transport::Mmio)
        .of("Microvm::new()")
        .text("microvm,acpi=off")
        .mmio_slots(&[((5, 2), 8)])
        .announces_mmio();
    /// ACPI, virtio-mmio. A marker in [`Microvm`], so it has no example.
    Acpi: FirmwareTables, FACTS: MachineFacts = facts(Transport::Mmio)
        .of("Microvm::with_acpi()")
        .text("microvm,acpi=on")
        .mmio_slots(SLOTS_WITH_ACPI);
    /// ACPI, PCI Express. A marker in [`Microvm`], so it has no example.
    Pcie: FirmwareTables, FACTS: MachineFacts = facts(Transport::Pci)
        .of("Microvm::with_pcie()")
        .text("microvm,acpi=on,pcie=on")
        .mmio_slots(SLOTS_WITH_ACPI)
        .pci_slots(&[((5, 2), 31)]);
}

/// ACPI describes a second I/O APIC, with lines for 16 more; 5.2 has none.
const SLOTS_WITH_ACPI: &[((u16, u16), u32)] = &[((5, 2), 8), ((7, 2), 24)];

/// What all microvms have in common.
const fn facts(transport: Transport) -> MachineFacts {
    // 10.0 has no limit of its own under TCG; which version between it and 7.2 was the first is not known.
    MachineFacts::new("microvm", Architecture::X86_64, transport)
        .uart(Uart::ISA_SERIAL)
        .cpus(&[((5, 2), 288)])
        .tcg_cpus(&[((5, 2), 255), ((10, 0), 288)])
}

/// Whether the ISA serial port is on: a setting of [`Microvm`], so it has no example. Sealed.
pub trait IsaSerialSetting: sealed::Sealed {
    /// Whether it is.
    const ON: bool;
}

/// Whether PIT, PIC and RTC are on: a setting of [`Microvm`], so it has no example. Sealed.
pub trait TimersSetting: sealed::Sealed {
    /// Whether they are.
    const ON: bool;
}

/// How the guest finds its devices: a setting of [`Microvm`], so it has no example. Sealed.
pub trait FirmwareTables: sealed::Sealed {
    /// What such a microvm provides, with ISA serial port and timers.
    const FACTS: MachineFacts;
}

mod sealed {
    pub trait Sealed {}
}

/// A microvm whose kernel is loaded without an option ROM: one without ACPI. With ACPI the firmware is `SeaBIOS`, which
/// needs the ROM. A rule of [`Microvm::without_option_roms`], which has an example.
#[diagnostic::on_unimplemented(
    message = "`acpi=on` with `x-option-roms=off` boots no kernel: SeaBIOS needs the option ROM to load it",
    label = "this `Microvm` has ACPI, so its option ROMs must stay on",
    note = "remove this call, or use `Microvm::new()`, which has neither ACPI nor option ROMs"
)]
pub trait LoadsKernelWithoutRoms {}
#[diagnostic::do_not_recommend]
impl LoadsKernelWithoutRoms for NoAcpi {}

impl Microvm {
    /// A microvm without ACPI and option ROMs, with ISA serial port and timers.
    pub const fn new() -> Self {
        Self::of(false, None)
    }

    /// A microvm with ACPI: for guests that do not read devices from the kernel command line, and for more than 8 devices.
    ///
    /// ```
    /// use qemu_dsl::machine::{MachineType, Microvm};
    /// let qemu = qemu_dsl::QemuVersion::new(7, 2, 0);
    /// assert_eq!(Microvm::with_acpi().facts().mmio_slots.at(Some(qemu)), Some(24));
    /// ```
    pub const fn with_acpi() -> Microvm<IsaSerialOn, TimersOn, Acpi> {
        Microvm::of(true, None)
    }

    /// A microvm with ACPI and PCI Express; virtio devices are PCI devices there.
    ///
    /// ```
    /// use qemu_dsl::machine::{MachineType, Microvm};
    /// use qemu_dsl::opts::Transport;
    /// assert_eq!(Microvm::with_pcie().transport(), Transport::Pci);
    /// ```
    pub const fn with_pcie() -> Microvm<IsaSerialOn, TimersOn, Pcie> {
        Microvm::of(true, Some(true))
    }
}

impl Default for Microvm {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, T, F> Microvm<S, T, F> {
    const fn of(acpi: bool, pcie: Option<bool>) -> Self {
        Self {
            acpi,
            x_option_roms: acpi,
            pcie,
            pit: None,
            pic: None,
            rtc: None,
            isa_serial: None,
            mem_merge: None,
            dump_guest_core: None,
            settings: PhantomData,
        }
    }

    /// The same options under other settings.
    pub(super) const fn with<S2, T2, F2>(self) -> Microvm<S2, T2, F2> {
        Microvm {
            acpi: self.acpi,
            x_option_roms: self.x_option_roms,
            pcie: self.pcie,
            pit: self.pit,
            pic: self.pic,
            rtc: self.rtc,
            isa_serial: self.isa_serial,
            mem_merge: self.mem_merge,
            dump_guest_core: self.dump_guest_core,
            settings: PhantomData,
        }
    }

    /// Switches option ROMs off, which is the way a microvm without ACPI starts anyway.
    ///
    /// ```
    /// use qemu_dsl::machine::Microvm;
    /// assert_eq!(Microvm::new().without_option_roms(), Microvm::new());
    /// ```
    #[must_use]
    pub fn without_option_roms(mut self) -> Self
    where
        F: LoadsKernelWithoutRoms,
    {
        self.x_option_roms = false;
        self
    }

    /// Switches the ISA serial port off: less to emulate, and the console must be a virtconsole then.
    #[must_use]
    pub const fn without_isa_serial(mut self) -> Microvm<IsaSerialOff, T, F> {
        self.isa_serial = Some(false);
        self.with()
    }

    /// Switches PIT, PIC and RTC off. The guest then keeps time with the TSC deadline timer alone, hence the proof: a
    /// guest without it never boots, and QEMU says nothing.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::machine::Microvm;
    /// use qemu_dsl::opts;
    ///
    /// let facts = HostFacts::example();
    /// if let Some(proof) = facts.tsc_deadline() {
    ///     let text = opts::to_text(&Microvm::new().without_timers(proof))?;
    ///     assert!(text.ends_with(b"pit=off,pic=off,rtc=off"));
    /// }
    /// # Ok::<(), opts::OptError>(())
    /// ```
    #[must_use]
    pub const fn without_timers(mut self, _proof: TscDeadline) -> Microvm<S, TimersOff, F> {
        self.pit = Some(false);
        self.pic = Some(false);
        self.rtc = Some(false);
        self.with()
    }
}

crate::machine_common_options!(@[S, T, F] Microvm<S, T, F>);

impl Microvm {
    /// What the three kinds of microvm provide.
    pub const FACTS: &'static [MachineFacts] = &[NoAcpi::FACTS, Acpi::FACTS, Pcie::FACTS];
}

#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting, F: FirmwareTables> MachineType for Microvm<S, T, F> {
    type Arch = X86_64;

    fn facts(&self) -> &'static MachineFacts {
        const {
            let facts = if S::ON { F::FACTS } else { F::FACTS.without_uart() };
            &if T::ON { facts } else { facts.needs_hardware() }
        }
    }
}

#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting, F: FirmwareTables> RunsUnder<Kvm<X86_64>> for Microvm<S, T, F> {}
#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting, F: FirmwareTables> RunsUnder<Hvf<X86_64>> for Microvm<S, T, F> {}
#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, F: FirmwareTables> RunsUnder<Tcg> for Microvm<S, TimersOn, F> {}
#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, F: FirmwareTables> RunsUnder<AnyAccel> for Microvm<S, TimersOn, F> {}

#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting, F: FirmwareTables> HasBus<Virtio> for Microvm<S, T, F> {}
#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting, F: FirmwareTables> HasBus<VirtioMmio> for Microvm<S, T, F> {}
#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting, F: FirmwareTables> HasBus<Isa> for Microvm<S, T, F> {}
#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting> HasBus<Pci> for Microvm<S, T, Pcie> {}

#[diagnostic::do_not_recommend]
impl<T: TimersSetting, F: FirmwareTables> HasIsaSerial for Microvm<IsaSerialOn, T, F> {}
#[diagnostic::do_not_recommend]
impl<T: TimersSetting, F: FirmwareTables> HasUart for Microvm<IsaSerialOn, T, F> {
    const UART: Uart = Uart::ISA_SERIAL;
}

#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting, F: FirmwareTables> IoEventFd<Kvm<X86_64>> for Microvm<S, T, F> {}
#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting> IoEventFd<Tcg> for Microvm<S, T, Pcie> {}
