//! [`HostFacts`]: what a host can do, as plain data, and the proofs that follow from it.

use crate::QemuVersion;
use crate::accel::{
    Aarch64, AnyAccel, Arch, Architecture, Hvf, IoUring, Kvm, LinuxHost, Proof as _, Riscv64, Tcg, TscDeadline, X86_64,
};

/// What a host can do. `host::probe` finds it out; facts can also come from elsewhere, to plan for another host.
///
/// With the feature `serde` they are read and written as
/// `{"arch":"x86_64","os":"linux","accel":"kvm","tsc_deadline":true,"io_uring":true,"unshare":true,"qemu_version":[9,2,0],"seccomp":true}`.
///
/// ```
/// use qemu_dsl::HostFacts;
/// let facts = HostFacts::example();
/// assert!(facts.tsc_deadline().is_some());
/// ```
///
/// More facts will come. So [`HostFacts::new`] makes those of a host that has nothing, and methods say what it has; a file that
/// lacks a newer fact says that the host lacks it.
///
/// ```
/// use qemu_dsl::HostFacts;
/// use qemu_dsl::accel::Architecture;
/// use qemu_dsl::facts::{Acceleration, Os};
/// let facts = HostFacts::new(Architecture::Aarch64, Os::Linux).with_accel(Acceleration::Kvm).with_bwrap(true);
/// assert!(facts.io_uring().is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct HostFacts {
    /// The processor's architecture.
    pub arch: Architecture,
    /// The operating system.
    pub os: Os,
    /// How guest code can run.
    pub accel: Acceleration,
    /// Whether the processor has a TSC deadline timer; `x86_64` only.
    pub tsc_deadline: bool,
    /// Whether kernel and QEMU binary can do `io_uring`; Linux only.
    pub io_uring: bool,
    /// Whether `unshare` can make the namespaces of the sandbox; Linux only.
    pub unshare: bool,
    /// The version of the QEMU binary, if it could be asked.
    pub qemu_version: Option<QemuVersion>,
    /// Whether the QEMU binary has a seccomp filter; Linux only.
    pub seccomp: bool,
    /// Whether `unshare` can make the namespaces of the sandbox through a user namespace; Linux only.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub unshare_user: bool,
    /// Whether bubblewrap can make the jail of the sandbox; Linux only.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub bwrap: bool,
    /// Whether the launcher is root, and QEMU gets a user of its own. Root of a user namespace is not, where that has no such users.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub root: bool,
}

/// An operating system that QEMU runs on and this crate knows.
///
/// ```
/// assert_eq!(qemu_dsl::facts::Os::Linux.name(), "linux");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Os {
    /// Linux.
    Linux,
    /// macOS.
    Macos,
}

impl Os {
    /// The name in facts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Macos => "macos",
        }
    }
}

pub use crate::accel::Acceleration;

/// Facts that cannot all be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// An accelerator that the operating system does not have.
    #[error("the facts say `accel` is `{}` and `os` is `{}`: KVM is Linux's and HVF is macOS's, so correct one of them", accel.name(), os.name())]
    Accelerator {
        /// The accelerator.
        accel: Acceleration,
        /// The operating system.
        os: Os,
    },
    /// No QEMU has this version.
    #[error(
        "the facts say `qemu_version` is {version}, and versions start at 0.1: correct it, or use null for unknown"
    )]
    Version {
        /// The version.
        version: QemuVersion,
    },
}

/// An accelerator for guests of architecture `A`, with its proof.
///
/// ```
/// use qemu_dsl::HostFacts;
/// use qemu_dsl::facts::{HostAccel, Platform};
/// use qemu_dsl::prelude::*;
///
/// let vm = match HostFacts::example().platform() {
///     Platform::X86_64(HostAccel::Kvm(kvm)) => Vm::new(Q35::new(), kvm, Host::new(), mib!(128)).build(),
///     _ => Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(128)).build(),
/// };
/// assert!(vm.unwrap().to_string().contains("-accel kvm"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAccel<A: Arch> {
    /// KVM.
    Kvm(Kvm<A>),
    /// HVF.
    Hvf(Hvf<A>),
    /// Neither.
    Tcg,
}

/// The host's architecture and accelerator, for a `match` that gives their types. [`HostAccel`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Platform {
    /// An x86-64 host.
    X86_64(HostAccel<X86_64>),
    /// A 64-bit Arm host.
    Aarch64(HostAccel<Aarch64>),
    /// A 64-bit RISC-V host.
    Riscv64(HostAccel<Riscv64>),
    /// A host of an architecture that this library does not know: its type gives the proof, as in `facts.kvm::<S390x>()`.
    Other(Architecture),
}

/// A method that says what a host has.
macro_rules! facts {
    ($($name:ident: $field:ident, $ty:ty;)*) => {
        /// What the host has, one by one.
        impl HostFacts {
            $(
                #[doc = concat!("These facts with another [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                #[must_use]
                pub const fn $name(mut self, $field: $ty) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

facts! {
    with_arch: arch, Architecture;
    with_os: os, Os;
    with_accel: accel, Acceleration;
    with_tsc_deadline: tsc_deadline, bool;
    with_io_uring: io_uring, bool;
    with_unshare: unshare, bool;
    with_qemu_version: qemu_version, Option<QemuVersion>;
    with_seccomp: seccomp, bool;
    with_unshare_user: unshare_user, bool;
    with_bwrap: bwrap, bool;
    with_root: root, bool;
}

impl HostFacts {
    /// Facts of a host that has nothing but emulation, and whose QEMU is not known.
    pub const fn new(arch: Architecture, os: Os) -> Self {
        Self {
            arch,
            os,
            accel: Acceleration::Tcg,
            tsc_deadline: false,
            io_uring: false,
            unshare: false,
            qemu_version: None,
            seccomp: false,
            unshare_user: false,
            bwrap: false,
            root: false,
        }
    }

    /// Facts of a usual Linux server, for examples and tests.
    pub const fn example() -> Self {
        Self::new(Architecture::X86_64, Os::Linux)
            .with_accel(Acceleration::Kvm)
            .with_tsc_deadline(true)
            .with_io_uring(true)
            .with_unshare(true)
            .with_qemu_version(Some(QemuVersion::new(9, 2, 0)))
            .with_seccomp(true)
    }

    /// Whether the facts can all be true.
    ///
    /// # Errors
    ///
    /// [`FactsError`] names the two that contradict each other. What an operating system or architecture does not have at
    /// all (`tsc_deadline` on aarch64, `io_uring` on macOS) is no contradiction: it is not used there.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::facts::{Acceleration, Os};
    /// let lie = HostFacts::example().with_os(Os::Macos).with_accel(Acceleration::Kvm);
    /// assert!(lie.check().is_err());
    /// ```
    pub fn check(&self) -> Result<(), FactsError> {
        if matches!((self.os, self.accel), (Os::Linux, Acceleration::Hvf) | (Os::Macos, Acceleration::Kvm)) {
            return Err(FactsError::Accelerator { accel: self.accel, os: self.os });
        }
        match self.qemu_version {
            Some(version) if version < QemuVersion::new(0, 1, 0) => Err(FactsError::Version { version }),
            _ => Ok(()),
        }
    }

    /// Proof of KVM for guests of architecture `A`, if the host has it.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::accel::{Aarch64, X86_64};
    /// let facts = HostFacts::example();
    /// assert!(facts.kvm::<X86_64>().is_some());
    /// assert!(facts.kvm::<Aarch64>().is_none(), "KVM runs guests of the host's architecture only");
    /// ```
    pub fn kvm<A: Arch>(&self) -> Option<Kvm<A>> {
        let fits = self.os == Os::Linux && self.accel == Acceleration::Kvm && A::ARCH == Some(self.arch);
        fits.then_some(Kvm::PROVEN)
    }

    /// Proof of HVF for guests of architecture `A`, if the host has it.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::accel::X86_64;
    /// assert!(HostFacts::example().hvf::<X86_64>().is_none(), "HVF is macOS's");
    /// ```
    pub fn hvf<A: Arch>(&self) -> Option<Hvf<A>> {
        let fits = self.os == Os::Macos && self.accel == Acceleration::Hvf && A::ARCH == Some(self.arch);
        fits.then_some(Hvf::PROVEN)
    }

    /// The best accelerator for guests of the host's own architecture, as a value.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::accel::Accelerator;
    /// assert!(HostFacts::example().accelerator().is_hardware());
    /// ```
    pub fn accelerator(&self) -> AnyAccel {
        fn erased<A: Arch>(accel: HostAccel<A>) -> AnyAccel {
            match accel {
                HostAccel::Kvm(kvm) => kvm.into(),
                HostAccel::Hvf(hvf) => hvf.into(),
                HostAccel::Tcg => Tcg::new().into(),
            }
        }
        match self.platform() {
            Platform::X86_64(accel) => erased(accel),
            Platform::Aarch64(accel) => erased(accel),
            Platform::Riscv64(accel) => erased(accel),
            Platform::Other(architecture) => AnyAccel::of_host(architecture, self.accel),
        }
    }

    /// Architecture and accelerator, for a `match` that gives their types. [`HostAccel`] has an example.
    pub fn platform(&self) -> Platform {
        match self.arch {
            Architecture::X86_64 => Platform::X86_64(self.host_accel()),
            Architecture::Aarch64 => Platform::Aarch64(self.host_accel()),
            Architecture::Riscv64 => Platform::Riscv64(self.host_accel()),
            Architecture::Other(_) => Platform::Other(self.arch),
        }
    }

    fn host_accel<A: Arch>(&self) -> HostAccel<A> {
        match (self.kvm(), self.hvf()) {
            (Some(kvm), _) => HostAccel::Kvm(kvm),
            (None, Some(hvf)) => HostAccel::Hvf(hvf),
            (None, None) => HostAccel::Tcg,
        }
    }

    /// Proof of a TSC deadline timer that guests can use, which they can under hardware acceleration only.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::machine::Microvm;
    /// if let Some(proof) = HostFacts::example().tsc_deadline() {
    ///     let machine = Microvm::new().without_timers(proof);
    /// }
    /// ```
    pub fn tsc_deadline(&self) -> Option<TscDeadline> {
        let hardware = self.accel != Acceleration::Tcg;
        (self.arch == Architecture::X86_64 && hardware && self.tsc_deadline).then_some(TscDeadline::PROVEN)
    }

    /// Proof of `io_uring` in kernel and binary.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::backend::Aio;
    /// let aio = HostFacts::example().io_uring().map_or(Aio::Threads, Aio::IoUring);
    /// ```
    pub fn io_uring(&self) -> Option<IoUring> {
        (self.os == Os::Linux && self.io_uring).then_some(IoUring::PROVEN)
    }

    /// Proof of a Linux host.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::machine::Pc;
    /// let machine = match HostFacts::example().linux() {
    ///     Some(linux) => Pc::new().without_core_dump(linux),
    ///     None => Pc::new(),
    /// };
    /// ```
    pub fn linux(&self) -> Option<LinuxHost> {
        (self.os == Os::Linux).then_some(LinuxHost::PROVEN)
    }
}
