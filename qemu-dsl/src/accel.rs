//! Accelerators, and the proofs that the host has them.
//!
//! KVM and HVF are values that only a probe, or [`HostFacts`](crate::HostFacts) that say so, hand out. TCG is always
//! there. The set is closed: QEMU's other accelerators (Xen, NVMM, WHPX, MSHV) run on systems that this crate does not
//! know.

use std::marker::PhantomData;

use crate::opts::{QemuOpts, Size};

/// An instruction set, as a marker type: [`X86_64`], [`Aarch64`], [`Riscv64`], and [`AnyArch`] for what is chosen at run time.
///
/// One of your own says what QEMU calls it and its emulator:
///
/// ```
/// use qemu_dsl::accel::{Arch, Architecture};
///
/// #[derive(Debug, Clone, Copy)]
/// pub struct M68k;
///
/// impl Arch for M68k {
///     const ARCH: Option<Architecture> = Some(Architecture::other("m68k", "qemu-system-m68k"));
/// }
/// ```
///
/// With that, machine types for it and CPU models can be defined: [`machine!`](crate::machine!), [`CpuFor`](crate::cpu::CpuFor).
/// `examples/src/bin/own_architecture.rs` does all three.
pub trait Arch: Copy + 'static {
    /// The instruction set, when the type says which.
    const ARCH: Option<Architecture>;
}

/// The instruction set of a type that says which: for [`machine!`](crate::machine!), when it is compiled.
#[doc(hidden)]
#[must_use]
pub const fn architecture<A: Arch>() -> Architecture {
    match A::ARCH {
        Some(architecture) => architecture,
        None => panic!("a machine type is for guests of one architecture: `AnyArch` is none"),
    }
}

/// x86-64. A marker: see [`Arch`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct X86_64;

/// 64-bit Arm. A marker: see [`Arch`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aarch64;

/// 64-bit RISC-V. A marker: see [`Arch`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Riscv64;

/// An instruction set that is known at run time only. A marker: see [`Arch`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyArch;

impl Arch for X86_64 {
    const ARCH: Option<Architecture> = Some(Architecture::X86_64);
}

impl Arch for Aarch64 {
    const ARCH: Option<Architecture> = Some(Architecture::Aarch64);
}

impl Arch for Riscv64 {
    const ARCH: Option<Architecture> = Some(Architecture::Riscv64);
}

impl Arch for AnyArch {
    const ARCH: Option<Architecture> = None;
}

/// An instruction set, as a value.
///
/// ```
/// use qemu_dsl::accel::Architecture;
/// assert_eq!(Architecture::X86_64.qemu_binary(), "qemu-system-x86_64");
/// assert_eq!(Architecture::other("s390x", "qemu-system-s390x").name(), "s390x");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
    /// One that this library does not know. Files cannot name it.
    #[cfg_attr(feature = "serde", serde(skip))]
    Other(OtherArchitecture),
}

/// An architecture that this library does not know. [`Architecture::other`] makes it, and has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OtherArchitecture {
    name: &'static str,
    qemu_binary: &'static str,
}

impl Architecture {
    /// An architecture that this library does not know: the name that QEMU uses, and the usual name of its system emulator.
    pub const fn other(name: &'static str, qemu_binary: &'static str) -> Self {
        Self::Other(OtherArchitecture { name, qemu_binary })
    }

    /// The name that QEMU and the Linux kernel use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
            Self::Other(other) => other.name,
        }
    }

    /// The usual name of QEMU's system emulator.
    pub const fn qemu_binary(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::Aarch64 => "qemu-system-aarch64",
            Self::Riscv64 => "qemu-system-riscv64",
            Self::Other(other) => other.qemu_binary,
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

pub(crate) mod sealed {
    /// What is an accelerator names itself: the compiler then says nothing of machine types and CPU models beside what is none.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not an accelerator",
        label = "not an accelerator",
        note = "the order is machine type, accelerator, CPU model, memory",
        note = "`Tcg::new()` is there on every host; `facts.kvm()` and `facts.hvf()` give an `Option`: `if let Some(kvm) = facts.kvm()`; `facts.accelerator()` is the best one"
    )]
    pub trait IsAccelerator {
        /// The accelerator.
        type Itself: super::Accelerator;

        /// The accelerator.
        fn itself(&self) -> &Self::Itself;
    }

    macro_rules! accelerators {
        ($([$($generics:tt)*] $name:ty;)*) => {$(
            #[diagnostic::do_not_recommend]
            impl<$($generics)*> IsAccelerator for $name {
                type Itself = Self;

                fn itself(&self) -> &Self {
                    self
                }
            }
        )*};
    }
    accelerators! {
        [A: super::Arch] super::Kvm<A>;
        [A: super::Arch] super::Hvf<A>;
        [] super::Tcg;
        [] super::AnyAccel;
    }
}

/// An accelerator: `-accel`. Sealed; there is one of each below.
///
/// ```
/// use qemu_dsl::accel::Tcg;
/// use qemu_dsl::opts;
/// assert_eq!(opts::to_text(&Tcg::new()).unwrap(), b"tcg");
/// ```
pub trait Accelerator: QemuOpts + sealed::IsAccelerator<Itself = Self> {
    /// Whether guest code runs on the host's processor itself.
    fn is_hardware(&self) -> bool;

    /// The only architecture whose guests it runs, if there is such a limit.
    fn only_for(&self) -> Option<Architecture> {
        None
    }
}

/// KVM, on a Linux host of the guest's own architecture. A value of this type is the proof that it works there.
///
/// Get one from [`HostFacts::kvm`](crate::HostFacts::kvm); there is an example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(implied = "kvm")]
pub struct Kvm<A: Arch> {
    #[qemu(skip)]
    arch: PhantomData<A>,
}

/// HVF, on a macOS host of the guest's own architecture. A value of this type is the proof that it works there.
///
/// Get one from [`HostFacts::hvf`](crate::HostFacts::hvf); there is an example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(implied = "hvf")]
pub struct Hvf<A: Arch> {
    #[qemu(skip)]
    arch: PhantomData<A>,
}

impl<A: Arch> Proof for Kvm<A> {
    const PROVEN: Self = Self { arch: PhantomData };
}

impl<A: Arch> Proof for Hvf<A> {
    const PROVEN: Self = Self { arch: PhantomData };
}

/// TCG: emulation of every instruction. Works everywhere, 10 to 100 times slower than hardware.
///
/// ```
/// use qemu_dsl::accel::{Tcg, TcgThread};
/// use qemu_dsl::opts::{self, Size};
/// let tcg = Tcg::new().thread(TcgThread::Single).tb_size(Size::mib(256));
/// assert_eq!(opts::to_text(&tcg).unwrap(), b"tcg,thread=single,tb-size=256");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "tcg")]
pub struct Tcg {
    /// One thread for all vCPUs, or one each.
    thread: Option<TcgThread>,
    /// The size of the translation cache, in MiB. (`-accel tcg,tb-size=`)
    tb_size: Option<u32>,
}

impl Tcg {
    /// TCG with QEMU's defaults.
    pub const fn new() -> Self {
        Self { thread: None, tb_size: None }
    }

    /// One thread for all vCPUs, or one each.
    #[must_use]
    pub const fn thread(mut self, thread: TcgThread) -> Self {
        self.thread = Some(thread);
        self
    }

    /// The size of the translation cache; QEMU takes whole MiB, a rest is dropped.
    #[must_use]
    pub const fn tb_size(mut self, size: Size) -> Self {
        let mib = size.as_bytes() >> 20;
        #[allow(clippy::cast_possible_truncation)] // bounded in the line itself
        {
            self.tb_size = Some(if mib > u32::MAX as u64 { u32::MAX } else { mib as u32 });
        }
        self
    }
}

/// How TCG uses threads. [`Tcg`] has an example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
pub enum TcgThread {
    /// One thread for all vCPUs.
    Single,
    /// A thread for each vCPU.
    Multi,
}

/// How guest code can run on a host.
///
/// ```
/// assert_eq!(qemu_dsl::facts::Acceleration::Tcg.name(), "tcg");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Acceleration {
    /// On the processor, through KVM.
    Kvm,
    /// On the processor, through the Hypervisor framework.
    Hvf,
    /// Emulated.
    #[cfg_attr(feature = "serde", serde(alias = "none"))]
    Tcg,
}

impl Acceleration {
    /// The name in facts, which is QEMU's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Hvf => "hvf",
            Self::Tcg => "tcg",
        }
    }
}

/// An accelerator that is chosen at run time. What compiles with it is valid with every accelerator.
///
/// ```
/// use qemu_dsl::accel::{Accelerator, AnyAccel, Tcg};
/// let accel = AnyAccel::from(Tcg::new());
/// assert!(!accel.is_hardware());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyAccel(Choice);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Kvm(Option<Architecture>),
    Hvf(Option<Architecture>),
    Tcg(Tcg),
}

impl QemuOpts for AnyAccel {
    // Head and options are those of the value.
    const SCHEMA: &'static crate::opts::Schema = &crate::opts::Schema::new(crate::opts::Head::None, &[]);

    fn write_opts(&self, writer: &mut crate::opts::OptWriter<'_>) {
        match &self.0 {
            Choice::Kvm(_) => writer.implied("kvm"),
            Choice::Hvf(_) => writer.implied("hvf"),
            Choice::Tcg(tcg) => tcg.write_opts(writer),
        }
    }
}

impl AnyAccel {
    /// What facts say of a host whose architecture has no type here.
    pub(crate) fn of_host(architecture: Architecture, accel: Acceleration) -> Self {
        Self(match accel {
            Acceleration::Kvm => Choice::Kvm(Some(architecture)),
            Acceleration::Hvf => Choice::Hvf(Some(architecture)),
            Acceleration::Tcg => Choice::Tcg(Tcg::new()),
        })
    }
}

impl<A: Arch> From<Kvm<A>> for AnyAccel {
    fn from(_: Kvm<A>) -> Self {
        Self(Choice::Kvm(A::ARCH))
    }
}

impl<A: Arch> From<Hvf<A>> for AnyAccel {
    fn from(_: Hvf<A>) -> Self {
        Self(Choice::Hvf(A::ARCH))
    }
}

impl From<Tcg> for AnyAccel {
    fn from(tcg: Tcg) -> Self {
        Self(Choice::Tcg(tcg))
    }
}

#[diagnostic::do_not_recommend]
impl<A: Arch> Accelerator for Kvm<A> {
    fn is_hardware(&self) -> bool {
        true
    }

    fn only_for(&self) -> Option<Architecture> {
        A::ARCH
    }
}

#[diagnostic::do_not_recommend]
impl<A: Arch> Accelerator for Hvf<A> {
    fn is_hardware(&self) -> bool {
        true
    }

    fn only_for(&self) -> Option<Architecture> {
        A::ARCH
    }
}

#[diagnostic::do_not_recommend]
impl Accelerator for Tcg {
    fn is_hardware(&self) -> bool {
        false
    }
}

#[diagnostic::do_not_recommend]
impl Accelerator for AnyAccel {
    fn is_hardware(&self) -> bool {
        !matches!(self.0, Choice::Tcg(_))
    }

    fn only_for(&self) -> Option<Architecture> {
        match self.0 {
            Choice::Kvm(arch) | Choice::Hvf(arch) => arch,
            Choice::Tcg(_) => None,
        }
    }
}

/// Proof that the host's processor has a TSC deadline timer and hardware acceleration hands it to the guest, so that
/// the guest keeps time without PIT, PIC and RTC.
///
/// Get one from [`HostFacts::tsc_deadline`](crate::HostFacts::tsc_deadline); there is an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TscDeadline(());

/// Proof that host and QEMU binary can do asynchronous I/O with `io_uring`.
///
/// Get one from [`HostFacts::io_uring`](crate::HostFacts::io_uring); there is an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoUring(());

/// Proof that the host runs Linux, for options that QEMU has only there.
///
/// Get one from [`HostFacts::linux`](crate::HostFacts::linux); there is an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinuxHost(());

impl Proof for TscDeadline {
    const PROVEN: Self = Self(());
}

impl Proof for IoUring {
    const PROVEN: Self = Self(());
}

impl Proof for LinuxHost {
    const PROVEN: Self = Self(());
}

/// A proof of a fact, for those who have checked it. A trait, because the compiler offers associated functions of the type
/// itself to whoever tries to forge one.
pub(crate) trait Proof {
    const PROVEN: Self;
}

crate::opts::family! { "-accel" ACCELERATORS: Kvm<X86_64>, Hvf<X86_64>, Tcg }
