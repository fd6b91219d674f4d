use crate::QemuVersion;
use crate::accel::Architecture;
use crate::command::CommandError;
use crate::opts::OptError;
use crate::rule::{self, Rule};

/// Why a VM cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An argument that cannot be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Two things of one kind with one id.
    #[error("two `{flag}` have the id `{id}`: give one of them another id")]
    DuplicateId {
        /// The flag that adds them: `-chardev`, `-device`.
        flag: &'static str,
        /// The id.
        id: String,
    },
    /// More virtio-mmio devices than the machine has transports.
    #[error("{devices} virtio-mmio devices do not fit on a machine with {slots} transports{remedy}")]
    MmioSlots {
        /// How many devices there are.
        devices: u32,
        /// How many fit.
        slots: u32,
        /// What to do, with a colon before it.
        remedy: String,
    },
    /// More PCI devices than there is room for beside the board's own.
    #[error(
        "{devices} PCI devices do not fit on the machine type `{machine}`, which has room for {slots} beside its own: remove some, or let several disks share a controller"
    )]
    PciSlots {
        /// What QEMU calls the machine type.
        machine: &'static str,
        /// How many devices there are.
        devices: u32,
        /// How many fit.
        slots: u32,
    },
    /// A maximum of CPUs where none can be plugged in.
    #[error(
        "{cpus} CPUs of {maxcpus}, and on the machine type `{machine}` none can be plugged in: start with all of them, and leave `Smp::max` out"
    )]
    NoCpuHotplug {
        /// What QEMU calls the machine type.
        machine: &'static str,
        /// The CPUs at the start.
        cpus: u32,
        /// The maximum.
        maxcpus: u32,
    },
    /// No kernel, on a machine type that boots no disk by itself.
    #[error(
        "there is nothing to boot: the machine type `{machine}` starts no disk by itself, so give it a kernel; if it has firmware, or is to do nothing, say so with `without_kernel()`"
    )]
    NothingToBoot {
        /// What QEMU calls the machine type.
        machine: &'static str,
    },
    /// A machine without timers under TCG, found at run time.
    #[error(
        "a machine without PIT, PIC and RTC never boots under TCG, which has no TSC deadline timer: leave the timers on, or use hardware acceleration"
    )]
    NeedsHardware,
    /// A second device of which there can be one.
    #[error("there are two `{device}`, and a VM has at most one: remove one of them")]
    Single {
        /// The device.
        device: &'static str,
    },
    /// Two users of standard input.
    #[error(
        "two character devices take QEMU's standard input, and only one can: use a socket for one, or share one with `mux_chardev`"
    )]
    StdioTwice,
    /// Two ports of one name on one virtio-serial controller.
    #[error("two ports of one virtio-serial controller have the name `{}`: give one of them another name", name.escape_debug())]
    PortName {
        /// The name.
        name: String,
    },
    /// Two disks of one serial number.
    #[error(
        "two disks have the serial number `{serial}`, by which the guest tells them apart: give one of them another"
    )]
    SameSerial {
        /// The serial number.
        serial: String,
    },
    /// Two values that a type says must differ: `#[qemu(unique = "...")]`.
    #[error("two devices have the {what} `{value}`: give one of them another")]
    SameValue {
        /// What must differ.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// Two network devices of one MAC address.
    #[error("two network devices have the MAC address {mac}: give one of them another")]
    SameMac {
        /// The address.
        mac: String,
    },
    /// More CPUs than the machine type can have.
    #[error("{cpus} CPUs are more than the machine can have: at most {max}{remedy}")]
    TooManyCpus {
        /// How many were wanted.
        cpus: u32,
        /// How many are possible.
        max: u32,
        /// Which QEMU can have so many, if one can, with a comma before it.
        remedy: String,
    },
    /// More memory than the machine type can have.
    #[error(
        "{mib} MiB of memory are more than the machine can have below 4 GiB: at most {max}, or remove `highmem(false)`"
    )]
    TooMuchMemory {
        /// How many MiB were wanted.
        mib: u32,
        /// How many are possible.
        max: u32,
    },
    /// A kernel command line that the kernel would cut off.
    #[error("the kernel command line has {len} bytes, and the kernel keeps {max} of it: shorten it")]
    CmdlineTooLong {
        /// How many bytes it has, with the console.
        len: usize,
        /// How many are possible, without those that QEMU adds for its devices.
        max: usize,
    },
    /// A balloon on memory that is a template.
    #[error(
        "a balloon does not go together with a memory template: the pages that it hands back are the file's; remove the balloon, or use `mib!(...)` for the memory"
    )]
    BalloonOnTemplate,
    /// The name of a block node is too long.
    #[error("the node name `{id}` has {} bytes, and QEMU allows 31: shorten it", id.len())]
    NodeName {
        /// The name.
        id: String,
    },
    /// `console=` on the kernel command line.
    #[error(
        "the kernel command line sets `{parameter}`, and the VM's console sets `console={console}`: remove it, or say `Kernel::own_console()`"
    )]
    ConsoleInCmdline {
        /// The parameter.
        parameter: String,
        /// What Linux calls the VM's console.
        console: &'static str,
    },
    /// KVM or HVF of another architecture, found at run time.
    #[error("the accelerator runs only {host} guests, and the machine type is for {guest}: use TCG")]
    ForeignAccelerator {
        /// The host's architecture.
        host: Architecture,
        /// The guest's architecture.
        guest: Architecture,
    },
    /// A back end, a port or a controller that nothing uses.
    #[error(
        "{what}, `{id}`, is used by nothing, and the guest would not see it: give its handle to {user}, or keep it for later with `vm.spare(...)`"
    )]
    Unused {
        /// What it is: "a drive".
        what: &'static str,
        /// Its id.
        id: String,
        /// What uses such a thing: "a block device".
        user: &'static str,
    },
    /// A back end that several use, and only one can.
    #[error("{what}, `{id}`, is used more than once, and only {user} can: add one for each")]
    UsedTwice {
        /// What it is: "a drive".
        what: &'static str,
        /// Its id.
        id: String,
        /// What uses such a thing: "one block device".
        user: &'static str,
    },
    /// A shared image whose devices do not all run in QEMU's main thread.
    #[error(
        "the shared image `{image}` has several devices, and one of them has the I/O thread `{id}`: QEMU before 10.0 aborts or hangs when the guest uses it; leave out the I/O thread, use a drive for each, or name a target of 10.0 or later"
    )]
    SharedImageOnThread {
        /// The image's node name.
        image: String,
        /// The I/O thread's id.
        id: String,
    },
    /// An I/O thread for a virtio-mmio device of a machine that has ioeventfd for PCI devices.
    #[error(
        "the I/O thread `{id}` is for a virtio-mmio device, which has no ioeventfd under this accelerator before QEMU 10.0: leave out `OnMmio`, or make the thread with `iothread_since(proof)`"
    )]
    IoThreadOnMmio {
        /// The I/O thread's id.
        id: String,
    },
    /// An I/O thread whose proof is of a newer QEMU than the target.
    #[error(
        "the I/O thread `{id}` needs QEMU 10.0 or later here, and the target is older: its proof is of another QEMU"
    )]
    IoThreadVersion {
        /// The I/O thread's id.
        id: String,
    },
    /// One path for two things, one of which nobody can share.
    #[error("`{path}` is {first} and {second}: give one of them another path")]
    SamePath {
        /// The path.
        path: String,
        /// What it was first: "a log file".
        first: &'static str,
        /// What it was then.
        second: &'static str,
    },
    /// One place in the boot order twice.
    #[error("two devices have the place {index} in the boot order: give one of them another `bootindex`")]
    SameBootIndex {
        /// The place.
        index: u32,
    },
    /// Two PCI Express ports in one place.
    #[error(
        "two PCI Express ports have the chassis {chassis} and the slot {slot}: give one of them another chassis or slot"
    )]
    SameChassis {
        /// The chassis.
        chassis: u8,
        /// The slot in it.
        slot: u16,
    },
    /// One file descriptor for two character devices.
    #[error("two character devices have the file descriptor {fd}: one socket is for one of them")]
    SameDescriptor {
        /// The descriptor.
        fd: i32,
    },
    /// A MAC address that QEMU gives to another network device.
    #[error(
        "the MAC address {mac} is what QEMU gives to a network device before that has none: give both one, or this another"
    )]
    AutomaticMac {
        /// The address.
        mac: String,
    },
    /// An id that QEMU gives itself.
    #[error("QEMU keeps the id `{id}` for itself: take another one")]
    ReservedId {
        /// The id.
        id: String,
    },
    /// A path of no bytes.
    #[error("{what} needs a path, and this one is empty")]
    EmptyPath {
        /// What the path is for.
        what: &'static str,
    },
    /// A word of a wrapper that is empty.
    #[error("a word of the wrapper ({why}) is empty: leave it out")]
    EmptyWrapper {
        /// What the wrapper is for.
        why: &'static str,
    },
    /// A raw argument that QEMU does not read as one.
    #[error(
        "the raw argument `{}` is none of QEMU's: an empty one is a disk image to QEMU, and a flag and its value are two arguments, `raw_arg(\"-device\").raw_arg(\"edu\")`", arg.escape_debug()
    )]
    RawArgument {
        /// The argument.
        arg: String,
    },
    /// A target that this library does not know.
    #[error("the target is QEMU {version}, and this library knows 5.2 and later: use a newer QEMU")]
    OldQemu {
        /// The target's version.
        version: QemuVersion,
    },
    /// A second console, found at run time.
    #[error(
        "this VM already has its console, and a VM has one: remove one of the two console calls, or add a `VirtSerialPort`"
    )]
    SecondConsole,
    /// A UART that is not there, or switched off; found at run time.
    #[error("this machine has no UART that is switched on: use `virtconsole`")]
    NoUart,
    /// The UART is connected already, or with nothing because there is another console.
    #[error("the UART is connected already: call `uart_log` once, and before the console's method")]
    UartTaken,
    /// A monitor on a character device that does not both hear and speak.
    #[error(
        "the character device `{id}` does not both read and write, so nobody could talk to a monitor on it: use a `Socket` or `Stdio`"
    )]
    OneWayMonitor {
        /// The device's id.
        id: String,
    },
    /// A VM that has been built in a chain.
    #[error("this VM has been built already: keep the command that the first `build` returned")]
    BuiltAlready,
    /// A virtio-serial controller with more ports than there can be.
    #[error("{ports} ports are more than a virtio-serial controller can have: at most 510 beside the console's")]
    TooManyPorts {
        /// How many were wanted.
        ports: usize,
    },
}

impl BuildError {
    /// The rule that is broken; [`None`] for what is no rule but wrong use of this library, such as an old target.
    pub fn rule(&self) -> Option<&'static Rule> {
        let is_image = |what: &str| what.starts_with("a disk image");
        rule::by_id(match self {
            Self::Command(CommandError::Option { flag, source }) => match source {
                OptError::Value { .. } if *flag == "-machine" => "machine-version",
                OptError::TooOld { .. } | OptError::TooNew { .. } => "option-of-another-version",
                OptError::ForeignHandle { .. } => "foreign-handle",
                OptError::Value { option, .. } if option.contains("queue") => "queues",
                OptError::Value { option, .. } if option.ends_with("_max") => "burst-without-limit",
                OptError::Value { .. } => "number-range",
                _ => return None,
            },
            Self::Command(_) | Self::EmptyWrapper { .. } | Self::OldQemu { .. } | Self::BuiltAlready => return None,
            Self::DuplicateId { .. } => "id-twice",
            Self::MmioSlots { .. } => "mmio-transports",
            Self::PciSlots { .. } => "pci-slots",
            Self::NoCpuHotplug { .. } => "cpu-hotplug",
            Self::NothingToBoot { .. } => "nothing-to-boot",
            Self::NeedsHardware => "no-timers-at-run-time",
            Self::Single { .. } => "single-device-twice",
            Self::StdioTwice => "stdio-twice",
            Self::PortName { .. } => "port-name-twice",
            Self::SameSerial { .. } => "serial-twice",
            Self::SameValue { .. } => "value-twice",
            Self::SameMac { .. } => "mac",
            Self::TooManyCpus { remedy, .. } if remedy.is_empty() => "machine-cpus",
            Self::TooManyCpus { .. } => "tcg-cpus",
            Self::TooMuchMemory { .. } => "highmem-memory",
            Self::CmdlineTooLong { .. } => "cmdline-length",
            Self::BalloonOnTemplate => "balloon-on-template",
            Self::NodeName { .. } => "node-name-length",
            Self::ConsoleInCmdline { .. } => "console-in-cmdline",
            Self::ForeignAccelerator { .. } => "foreign-accelerator",
            Self::Unused { .. } => "unused",
            Self::UsedTwice { .. } => "back-end-twice",
            Self::SharedImageOnThread { .. } => "shared-image-on-iothread",
            Self::IoThreadOnMmio { .. } => "iothread-on-mmio",
            Self::IoThreadVersion { .. } => "proof-of-another-version",
            Self::SamePath { first, second, .. } if is_image(first) && is_image(second) => "image-twice",
            Self::SamePath { .. } => "path-twice",
            Self::SameBootIndex { .. } | Self::SameChassis { .. } => "place-twice",
            Self::SameDescriptor { .. } => "closed-descriptor",
            Self::AutomaticMac { .. } => "mac-that-qemu-gives",
            Self::ReservedId { .. } => "reserved-id",
            Self::EmptyPath { .. } => "empty-path",
            Self::RawArgument { .. } => "flag-and-value-in-one",
            Self::SecondConsole | Self::UartTaken => "second-console",
            Self::NoUart => "uart-off",
            Self::OneWayMonitor { .. } => "one-way-monitor",
            Self::TooManyPorts { .. } => "too-many-ports",
        })
    }
}

/// Everything that is wrong with a VM, in the order in which it was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildErrors(pub(crate) Vec<BuildError>);

impl BuildErrors {
    /// The errors; never empty.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// use qemu_dsl::vm::BuildError;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.add(VirtioBalloon::new());
    /// vm.add(VirtioBalloon::new());
    /// let errors = vm.build().unwrap_err();
    /// assert_eq!(errors.errors(), [BuildError::Single { device: "virtio-balloon" }]);
    /// ```
    pub fn errors(&self) -> &[BuildError] {
        &self.0
    }
}

impl std::fmt::Display for BuildErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildErrors {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.first().map(|error| error as _)
    }
}
