use crate::accel::Architecture;
use crate::command::CommandError;

/// Why a VM cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An argument that cannot be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Two things of one kind with one id.
    #[error("there are two {kind} with the id `{id}`: give one of them another id")]
    DuplicateId {
        /// What they are: "chardevs", "devices".
        kind: &'static str,
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
    #[error("the kernel command line sets `{parameter}`, which the VM's console sets: remove it")]
    ConsoleInCmdline {
        /// The parameter.
        parameter: String,
    },
    /// KVM or HVF of another architecture, found at run time.
    #[error("the accelerator runs only {host} guests, and the machine type is for {guest}: use TCG")]
    ForeignAccelerator {
        /// The host's architecture.
        host: Architecture,
        /// The guest's architecture.
        guest: Architecture,
    },
    /// A virtio-serial controller with more ports than there can be.
    #[error("{ports} ports are more than a virtio-serial controller can have: at most 510 beside the console's")]
    TooManyPorts {
        /// How many were wanted.
        ports: usize,
    },
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
