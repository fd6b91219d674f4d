//! CPU models, `-cpu`, and the accelerators that each works with.

use crate::accel::{Aarch64, Accelerator, AnyAccel, Arch, Architecture, Hvf, Kvm, Riscv64, Tcg, X86_64};
use crate::machine::{MachineType, OfArch};
use crate::opts::{Extra, Head, Key, OptWriter, QemuOpts, Schema};

/// A CPU model that can be used on machine type `M` under accelerator `A`.
///
/// A model of your own (`implied` is its QEMU name; never build it from user text, `-cpu` has no escaping):
///
/// ```
/// use qemu_dsl::accel::Tcg;
/// use qemu_dsl::cpu::CpuFor;
/// use qemu_dsl::machine::{OfArch, VirtPcie};
/// use qemu_dsl::prelude::*;
///
/// #[derive(QemuOpts)]
/// #[qemu(implied = "neoverse-n1")]
/// struct NeoverseN1 { pauth: Option<bool> }
///
/// impl<M: OfArch<qemu_dsl::accel::Aarch64>> CpuFor<M, Tcg> for NeoverseN1 {}
///
/// let mut vm = Vm::new(VirtPcie::new(), Tcg::new(), NeoverseN1 { pauth: None }, mib!(128));
/// vm.kernel(Kernel::new("Image"));
/// # vm.build().unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "the CPU model `{Self}` cannot be used on `{M}` under the accelerator `{A}`",
    label = "not a CPU model for `{A}` on this machine type",
    note = "`Host` is for `Kvm` and `Hvf`; under `Tcg` use a named model: `Haswell` (x86_64), `CortexA57` (aarch64), `Rv64` (riscv64), `Max`",
    note = "`BestCpu` is the right one of them on every machine type and accelerator"
)]
pub trait CpuFor<M, A>: QemuOpts {
    /// Writes the model for a machine of this architecture, under hardware acceleration or not.
    #[doc(hidden)]
    fn write_for(&self, _architecture: Architecture, _hardware: bool, writer: &mut OptWriter<'_>) {
        self.write_opts(writer);
    }
}

/// The host's own CPU, every feature of it. Under hardware acceleration only.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::cpu::Host::new()).unwrap(), b"host");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "host")]
pub struct Host {}

/// The host's own x86 CPU without the extensions with which it runs guests: what nobody trusts needs no guests of its own, and
/// nested virtualization is where many of KVM's bugs are.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::cpu::HostWithoutNesting::new()).unwrap(), b"host,-svm,-vmx");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostWithoutNesting(());

impl HostWithoutNesting {
    /// The model with QEMU's defaults.
    pub const fn new() -> Self {
        Self(())
    }
}

impl QemuOpts for HostWithoutNesting {
    const SCHEMA: &'static Schema = &Schema::new(Head::Implied("host"), &[]);

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        writer.implied("host,-svm,-vmx");
    }
}

#[diagnostic::do_not_recommend]
impl<M: OfArch<X86_64>> CpuFor<M, Kvm<X86_64>> for HostWithoutNesting {}
#[diagnostic::do_not_recommend]
impl<M: OfArch<X86_64>> CpuFor<M, Hvf<X86_64>> for HostWithoutNesting {}

/// Intel's Haswell (2013): AVX2 and no newer. Emulated.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::cpu::Haswell::new()).unwrap(), b"Haswell");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "Haswell")]
pub struct Haswell {}

/// Arm's Cortex-A57 (2012): Armv8.0. Emulated, and faster so than newer models.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::cpu::CortexA57::new()).unwrap(), b"cortex-a57");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "cortex-a57")]
pub struct CortexA57 {}

/// The plain 64-bit RISC-V model. Emulated.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::cpu::Rv64::new()).unwrap(), b"rv64");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "rv64")]
pub struct Rv64 {}

/// Everything that the accelerator can do. Under TCG on Arm this costs seconds of boot time; on RISC-V older versions of QEMU do not have
/// it, and below 10.0 it is an error where the version is known.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::cpu::Max::new()).unwrap(), b"max");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "max")]
pub struct Max {}

macro_rules! new {
    ($($name:ident)*) => {$(
        impl $name {
            /// The model with QEMU's defaults.
            pub const fn new() -> Self {
                Self {}
            }
        }
    )*};
}
new!(Host Haswell CortexA57 Rv64 Max);

#[diagnostic::do_not_recommend]
impl<M: MachineType, A: Arch> CpuFor<M, Kvm<A>> for Host {}
#[diagnostic::do_not_recommend]
impl<M: MachineType, A: Arch> CpuFor<M, Hvf<A>> for Host {}
#[diagnostic::do_not_recommend]
impl<M: OfArch<X86_64>> CpuFor<M, Tcg> for Haswell {}
#[diagnostic::do_not_recommend]
impl<M: OfArch<Aarch64>> CpuFor<M, Tcg> for CortexA57 {}
#[diagnostic::do_not_recommend]
impl<M: OfArch<Riscv64>> CpuFor<M, Tcg> for Rv64 {}
#[diagnostic::do_not_recommend]
impl<M: MachineType> CpuFor<M, Tcg> for Max {
    fn write_for(&self, architecture: Architecture, _hardware: bool, writer: &mut OptWriter<'_>) {
        self.write_if_there(architecture, writer);
    }
}
#[diagnostic::do_not_recommend]
impl<M: MachineType> CpuFor<M, AnyAccel> for Max {
    fn write_for(&self, architecture: Architecture, _hardware: bool, writer: &mut OptWriter<'_>) {
        self.write_if_there(architecture, writer);
    }
}

impl Max {
    /// 10.0 has it on RISC-V, 7.2 has not; of the versions between them nothing is known.
    fn write_if_there(self, architecture: Architecture, writer: &mut OptWriter<'_>) {
        const ON_RISCV: Key = Key::new("max").since((10, 0), "10.0");
        if architecture == Architecture::Riscv64 {
            writer.require(&ON_RISCV);
        }
        self.write_opts(writer);
    }
}

/// [`Host`] under hardware acceleration, else [`Haswell`], [`CortexA57`] or [`Rv64`], and [`Max`] on other architectures: for
/// machine types and accelerators chosen at run time. Which one, the VM's own machine and accelerator decide.
///
/// ```
/// use qemu_dsl::cpu::BestCpu;
/// use qemu_dsl::prelude::*;
/// let mut vm = Vm::new(Virt::new(), Tcg::new(), BestCpu::new(), mib!(64));
/// vm.kernel(Kernel::new("Image"));
/// assert!(vm.build()?.to_string().contains("-cpu cortex-a57"));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BestCpu(());

impl BestCpu {
    /// The best model for the VM that it is given to.
    pub const fn new() -> Self {
        Self(())
    }
}

impl QemuOpts for BestCpu {
    // The head depends on the VM.
    const SCHEMA: &'static Schema = &Schema::new(Head::None, &[]);

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        writer.implied("max");
    }
}

#[diagnostic::do_not_recommend]
impl<M: MachineType, A: Accelerator> CpuFor<M, A> for BestCpu {
    fn write_for(&self, architecture: Architecture, hardware: bool, writer: &mut OptWriter<'_>) {
        writer.implied(match (hardware, architecture) {
            (true, _) => "host",
            (false, Architecture::X86_64) => "Haswell",
            (false, Architecture::Aarch64) => "cortex-a57",
            (false, Architecture::Riscv64) => "rv64",
            (false, Architecture::Other(_)) => "max",
        });
    }
}

#[diagnostic::do_not_recommend]
impl<M: MachineType, A: Accelerator, C: CpuFor<M, A>> CpuFor<M, A> for Extra<C> {
    fn write_for(&self, architecture: Architecture, hardware: bool, writer: &mut OptWriter<'_>) {
        self.of().write_for(architecture, hardware, writer);
        self.write_extra(writer);
    }
}

crate::opts::family! { "-cpu" MODELS: Host, Max, Haswell, CortexA57, Rv64 }
