//! What a QEMU binary lacks for a plan.

use std::ffi::OsStr;
use std::fmt;

use super::QemuInfo;
use crate::QemuCommand;
use crate::accel::Architecture;
use crate::text::visible_line;

/// What a command needs of the binary that runs it.
///
/// ```
/// use qemu_dsl::accel::Architecture;
/// use qemu_dsl::host::Needs;
/// let needs = Needs::new(Architecture::X86_64).machine("microvm").accelerator("kvm").device("virtio-blk-device");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    arch: Architecture,
    machine: Option<String>,
    accelerator: Option<String>,
    devices: Vec<String>,
}

impl Needs {
    /// A binary for guests of `arch`.
    pub fn new(arch: Architecture) -> Self {
        Self { arch, machine: None, accelerator: None, devices: Vec::new() }
    }

    /// What a command says that it needs: its `-machine`, `-accel` and `-device`s.
    ///
    /// ```
    /// use qemu_dsl::accel::Architecture;
    /// use qemu_dsl::host::Needs;
    /// use qemu_dsl::prelude::*;
    /// let command = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(128)).build()?;
    /// let needs = Needs::of(&command, Architecture::X86_64);
    /// assert_eq!(needs, Needs::new(Architecture::X86_64).machine("pc").accelerator("tcg"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(command: &QemuCommand, arch: Architecture) -> Self {
        let mut needs = Self::new(arch);
        let mut args = command.args();
        while let Some(arg) = args.next() {
            let kind = arg.to_str();
            if !matches!(kind, Some("-machine" | "-M" | "-accel" | "-device")) {
                continue;
            }
            let Some(name) = args.next().and_then(OsStr::to_str).map(head) else { continue };
            needs = match kind {
                Some("-accel") if needs.accelerator.is_none() => needs.accelerator(name),
                Some("-accel") => needs,
                Some("-device") => needs.device(name),
                _ => needs.machine(name),
            };
        }
        needs
    }

    /// It has this machine type.
    #[must_use]
    pub fn machine(mut self, name: &str) -> Self {
        self.machine = Some(name.to_owned());
        self
    }

    /// It was built with this accelerator.
    #[must_use]
    pub fn accelerator(mut self, name: &str) -> Self {
        self.accelerator = Some(name.to_owned());
        self
    }

    /// It has this device.
    #[must_use]
    pub fn device(mut self, name: &str) -> Self {
        if !self.devices.iter().any(|known| known == name) {
            self.devices.push(name.to_owned());
        }
        self
    }
}

/// What stands before the first comma.
fn head(text: &str) -> &str {
    text.split(',').next().unwrap_or_default()
}

/// Something that a QEMU binary lacks. [`QemuInfo::check`] finds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// It emulates another architecture.
    #[error("`{binary}` emulates {target}, and the guest is {arch}: use `{}`", arch.qemu_binary())]
    Target {
        /// The binary.
        binary: String,
        /// What it emulates.
        target: String,
        /// What the guest is.
        arch: Architecture,
    },
    /// It has no such machine type.
    #[error("`{binary}` has no machine type `{machine}`: it has {}", List(has))]
    Machine {
        /// The binary.
        binary: String,
        /// The machine type.
        machine: String,
        /// Those that it has.
        has: Vec<String>,
    },
    /// It was built without an accelerator.
    #[error("`{binary}` was built without the accelerator `{accelerator}`: it has {}", List(has))]
    Accelerator {
        /// The binary.
        binary: String,
        /// The accelerator.
        accelerator: String,
        /// Those that it has.
        has: Vec<String>,
    },
    /// It has no such device.
    #[error("`{binary}` has no device `{device}`: use a QEMU that was built with it")]
    DeviceModel {
        /// The binary.
        binary: String,
        /// The device.
        device: String,
    },
    /// It cannot emulate, and nothing else can be used here.
    #[error(
        "`{binary}` was built without the accelerator `tcg`, and no other can be used here: {reason}; use a QEMU with tcg"
    )]
    NothingRuns {
        /// The binary.
        binary: String,
        /// Why no other can be used.
        reason: String,
    },
}

/// A list of names that does not fill the screen.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        // Names that stay the same from version to version are what people use.
        let (versioned, plain): (Vec<&String>, Vec<&String>) =
            self.0.iter().partition(|name| name.bytes().any(|byte| byte == b'.'));
        let names: Vec<&str> = plain.into_iter().chain(versioned).map(String::as_str).collect();
        let shown = names[..names.len().min(SHOWN)].join(", ");
        let shown = visible_line(shown.as_bytes());
        match names.len() {
            0 => f.write_str("none"),
            count if count > SHOWN => write!(f, "{shown} and {} more", count - SHOWN),
            _ => f.write_str(&shown),
        }
    }
}

impl QemuInfo {
    /// Whether this binary has what a command needs. `binary` is its name, for messages.
    ///
    /// # Errors
    ///
    /// [`Missing`] names the first thing that it lacks.
    ///
    /// ```no_run
    /// use qemu_dsl::accel::Architecture;
    /// use qemu_dsl::host::{Needs, ProbeOptions, probe};
    /// let probed = probe(&ProbeOptions::new().qemu("qemu-system-x86_64-microvm"))?;
    /// let needs = Needs::new(Architecture::X86_64).machine("pc");
    /// if let Ok(info) = &probed.qemu
    ///     && let Err(missing) = info.check(&needs, "qemu-system-x86_64-microvm".as_ref())
    /// {
    ///     println!("{missing}");
    /// }
    /// # Ok::<(), qemu_dsl::host::ProbeError>(())
    /// ```
    pub fn check(&self, needs: &Needs, binary: &OsStr) -> Result<(), Missing> {
        let binary = || binary.display().to_string();
        if self.target != needs.arch.name() {
            return Err(Missing::Target { binary: binary(), target: self.target.clone(), arch: needs.arch });
        }
        if let Some(machine) = needs.machine.as_ref().filter(|machine| !self.has_machine(machine)) {
            // `none` is a machine without anything.
            let has = self.machines.iter().filter(|name| *name != "none").cloned().collect();
            return Err(Missing::Machine { binary: binary(), machine: machine.clone(), has });
        }
        if let Some(accelerator) = needs.accelerator.as_ref().filter(|name| !self.has_accelerator(name)) {
            let (accelerator, has) = (accelerator.clone(), self.accelerators.clone());
            return Err(Missing::Accelerator { binary: binary(), accelerator, has });
        }
        match needs.devices.iter().find(|device| !self.has_device(device)) {
            Some(device) => Err(Missing::DeviceModel { binary: binary(), device: device.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QemuVersion;

    fn microvm_only() -> QemuInfo {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        QemuInfo {
            version: QemuVersion::new(10, 0, 0),
            target: "x86_64".to_owned(),
            accelerators: words(&["kvm"]),
            machines: words(&["microvm", "none"]),
            seccomp: true,
            io_uring: true,
            devices: words(&["virtio-blk-device", "virtio-net-device"]),
            data_dirs: Vec::new(),
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |needs: Needs| microvm_only().check(&needs, "q".as_ref()).map_err(|missing| missing.to_string());
        let x86 = || Needs::new(Architecture::X86_64);
        let fine = x86().machine("microvm").accelerator("kvm").device("virtio-net-device").device("virtio-blk-device");
        assert_eq!(check(fine), Ok(()));
        for (needs, words) in [
            (
                Needs::new(Architecture::Aarch64),
                "`q` emulates x86_64, and the guest is aarch64: use `qemu-system-aarch64`",
            ),
            (x86().machine("pc"), "`q` has no machine type `pc`: it has microvm"),
            (x86().accelerator("tcg"), "`q` was built without the accelerator `tcg`: it has kvm"),
            (x86().device("nvme"), "`q` has no device `nvme`: use a QEMU that was built with it"),
        ] {
            assert_eq!(check(needs), Err(words.to_owned()));
        }
    }

    #[test]
    fn a_command_tells_what_it_needs() {
        let mut command = QemuCommand::new("unshare").unwrap();
        for arg in
            ["--", "q", "-accel", "kvm", "-accel", "tcg", "-M", "microvm,acpi=off", "-device", "a,id=x", "-device", "b"]
        {
            command.arg(arg).unwrap();
        }
        let needs = Needs::new(Architecture::X86_64).accelerator("kvm").machine("microvm").device("a").device("b");
        assert_eq!(Needs::of(&command, Architecture::X86_64), needs);
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..9).map(|n| format!("pc-{n}.0")).chain(["pc".to_owned()]).collect();
        assert_eq!(List(&names).to_string(), "pc, pc-0.0, pc-1.0, pc-2.0, pc-3.0, pc-4.0, pc-5.0, pc-6.0 and 2 more");
        assert_eq!(List(&[]).to_string(), "none");
    }
}
