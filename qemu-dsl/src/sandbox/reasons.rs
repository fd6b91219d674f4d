//! The reasons of the sandbox's options, in the words of the people who read `--explain`.

use super::choices::{Choices, MachineKind};
use super::config::SandboxConfig;
use crate::QemuVersion;
use crate::accel::Architecture;
use crate::facts::{Acceleration, HostFacts};
use crate::policy::NetworkMode;
use crate::vm::Reason;

pub(super) const UNSHARE: &str =
    "namespaces of its own, without a network unless one is allowed; QEMU ends with unshare";
pub(super) const JAIL: &str = "a jail: namespaces of its own, an empty root with what QEMU needs in it, no capability, no \
    environment; a root launcher's QEMU becomes another user in it";
pub(super) const SETPRIV: &str = "QEMU of a root launcher becomes a user of its own, without a capability";
pub(super) const ONLY_NAMESPACES: &str = "QEMU is held by namespaces and its seccomp filter, and sees the host's files: a jail needs \
    bubblewrap (Debian: `apt-get install bubblewrap`)";
pub(super) const ONLY_NAMESPACES_AND_NETWORK: &str = "QEMU is held by namespaces and its seccomp filter; it sees the host's files, \
    and has the host's network, because the guest's leads out: a jail needs bubblewrap (Debian: `apt-get install bubblewrap`)";
pub(super) const NO_ISOLATION: &str = "NOTHING BUT ITS OWN SECCOMP FILTER HOLDS QEMU here: a guest that breaks out of it is on \
    this host as its user. A jail needs bubblewrap (Debian: `apt-get install bubblewrap`)";
pub(super) const NAMESPACES_BESIDE_A_JAIL: &str = "QEMU is held by namespaces and its seccomp filter, and sees the host's files. This host has \
    a jail, which was not asked for, or does not let `sudo` work";
pub(super) const NOTHING_BESIDE_A_JAIL: &str = "NOTHING BUT ITS OWN SECCOMP FILTER HOLDS QEMU here: a guest that breaks out of it is on this \
    host as its user. This host has a jail, which was not asked for, or does not let `sudo` work";
pub(super) const SUDO: &str = "QEMU runs as a user that owns nothing; its output is passed on line by line";
pub(super) const KERNEL_NEEDS_ACPI: &str = "the guest kernel lacks CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES and cannot find the \
    devices of a microvm without ACPI: the plan has acpi=on and option ROMs";
pub(super) const KERNEL_NEEDS_PCI: &str =
    "the guest kernel has no virtio-mmio: the plan has the machine type pc, with PCI";
pub(super) const KERNEL_UNKNOWN: &str = "there is no kernel configuration to read: the guest kernel needs \
    CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y to find its devices";
pub(super) const FAST_NEEDS_KERNEL: &str = "the fast profile has nothing faster than q35 here: the guest kernel is not known to \
    have CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y, which a microvm needs";

fn accel_fact(facts: &HostFacts) -> String {
    format!("arch {}, os {}, accel {}", facts.arch, facts.os.name(), facts.accel.name())
}

pub(super) fn program(config: &SandboxConfig, facts: &HostFacts) -> Reason {
    let why = if config.qemu.is_some() {
        "the QEMU binary of the configuration".to_owned()
    } else {
        format!("QEMU's emulator for the host's architecture, from PATH: {}", facts.arch)
    };
    let version = facts.qemu_version.map_or("version unknown".to_owned(), |version| format!("version {version}"));
    Reason::new(why).probe(version)
}

pub(super) fn accel(facts: &HostFacts, forced: bool) -> Reason {
    let why = match facts.accel {
        Acceleration::Kvm | Acceleration::Hvf => "guest code runs on the processor itself",
        Acceleration::Tcg if forced => "emulation was asked for; one thread and a bounded translation cache",
        Acceleration::Tcg => "no working hardware acceleration; one thread and a bounded translation cache",
    };
    Reason::new(why).probe(accel_fact(facts))
}

pub(super) fn cpu(facts: &HostFacts) -> Reason {
    let why = match facts.accel {
        Acceleration::Kvm | Acceleration::Hvf if facts.arch == Architecture::X86_64 => {
            "every feature of the host's processor but nested virtualization"
        }
        Acceleration::Kvm | Acceleration::Hvf => "every feature of the host's processor",
        Acceleration::Tcg => "a model that is fast to emulate; `host` needs hardware acceleration",
    };
    Reason::new(why).probe(accel_fact(facts))
}

pub(super) fn machine(facts: &HostFacts, choices: Choices) -> Reason {
    let mut why = match choices.machine {
        MachineKind::Microvm => "the smallest machine: no PCI, no firmware tables, no option ROMs".to_owned(),
        MachineKind::MicrovmAcpi => {
            "the smallest machine that this guest kernel can use: ACPI lists the devices".to_owned()
        }
        MachineKind::Pc => "the machine that every x86 kernel boots on, with PCI".to_owned(),
        MachineKind::Q35 => "the machine with PCI that boots faster than pc under emulation".to_owned(),
        MachineKind::Virt => {
            "the board for virtual machines, with virtio-mmio and GICv3; no EL2, all below 4 GiB".to_owned()
        }
    };
    if matches!(choices.machine, MachineKind::Microvm) {
        why += match facts.tsc_deadline() {
            Some(_) => "; the TSC deadline timer replaces PIT, PIC and RTC",
            None => "; PIT, PIC and RTC stay, the guest needs them without a TSC deadline timer",
        };
    }
    why += "; equal pages are not merged";
    if facts.linux().is_some() {
        why += ", core dumps leave guest memory out";
    }
    if let [Some(remark), _] = choices.remarks {
        why += "; ";
        why += remark;
    }
    Reason::new(why).probe(format!("{}, tsc_deadline {}", accel_fact(facts), facts.tsc_deadline))
}

pub(super) fn vmlinux() -> Reason {
    Reason::new(
        "the guest kernel, uncompressed: under emulation it would take longer to decompress itself than to boot",
    )
}

pub(super) fn seccomp() -> Reason {
    Reason::new("QEMU's own system calls are restricted: no new programs, privileges or priorities")
        .probe("seccomp true")
}

pub(super) fn iothread() -> Reason {
    Reason::new("disk I/O runs in a thread of its own").probe("the machine has ioeventfd under this accelerator")
}

pub(super) fn iothread_under_tcg() -> Reason {
    iothread().versions("virtio-mmio has ioeventfd under TCG in QEMU 10.0 and later; 7.2 refuses the thread")
}

pub(super) fn drive(io_uring: bool) -> Reason {
    Reason::new(
        "the root disk, an overlay that is thrown away: flushes are ignored, freed blocks go back to the host, and \
         throughput is limited to 50 MiB/s (100 in bursts) and 1000 operations a second (2000 in bursts)",
    )
    .probe(if io_uring { "io_uring true" } else { "io_uring false: a pool of threads" })
}

pub(super) fn root_device() -> Reason {
    Reason::new("the root disk as the guest sees it, /dev/vda")
}

pub(super) fn netdev(mode: NetworkMode, version: Option<QemuVersion>) -> Reason {
    let why = match mode {
        NetworkMode::None => "no network",
        NetworkMode::Ports => "frames go to gvproxy, which lets in exposed ports and nothing out",
        NetworkMode::PortsAndInternet => "frames go to gvproxy, which lets in exposed ports and lets the guest out",
        NetworkMode::Internet => "frames go to gvproxy, which lets the guest out",
    };
    let rule = match version {
        None => "version unknown: no option for connecting again".to_owned(),
        Some(version) if version.is_at_least(9, 2) => format!("{version}: `reconnect-ms` since 9.2"),
        Some(version) if version.is_at_least(8, 0) => format!("{version}: `reconnect` from 8.0 to 10.1"),
        Some(version) => format!("{version}: `stream` since 7.2, connecting again only since 8.0"),
    };
    Reason::new(why).versions(rule)
}
