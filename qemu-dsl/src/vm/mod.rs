//! [`Vm`]: the typestate builder.

mod console;
mod error;
mod explain;
mod inner;
mod parts;
mod size;

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::Path;

pub use console::{Console, ConsoleVacant, NoConsole, OnIsaSerial, OnPl011, OnUart, OnVirtconsole};
pub use error::{BuildError, BuildErrors};
pub use explain::{Explained, Reason};
pub use size::{Memory, MemoryError, Smp, SmpError};

use crate::accel::Accelerator;
use crate::cpu::CpuFor;
use crate::machine::{MachineType, RunsUnder};
use crate::{QemuCommand, QemuVersion};
use inner::{Board, Inner};

/// A wrapper: the words that stand before QEMU's own command, and why.
pub type Wrapper<'a> = (&'a [&'a str], &'static str);

/// Which QEMU a VM is built for.
///
/// ```
/// use qemu_dsl::QemuVersion;
/// use qemu_dsl::prelude::*;
/// use qemu_dsl::vm::Target;
///
/// let target = Target::default().binary("/opt/qemu/bin/qemu-system-x86_64").version(QemuVersion::new(10, 0, 0));
/// let vm = Vm::for_target(&target, Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// assert!(vm.build()?.to_string().starts_with("/opt/qemu/bin/qemu-system-x86_64 "));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    binary: Option<&'a OsStr>,
    version: Option<QemuVersion>,
    wrappers: &'a [Wrapper<'a>],
    explain: bool,
}

impl<'a> Target<'a> {
    /// The binary; without this, `qemu-system-<architecture>` from `PATH`.
    #[must_use]
    pub fn binary(mut self, binary: &'a (impl AsRef<OsStr> + ?Sized)) -> Self {
        self.binary = Some(binary.as_ref());
        self
    }

    /// Its version: options that it lacks are errors then.
    #[must_use]
    pub const fn version(mut self, version: QemuVersion) -> Self {
        self.version = Some(version);
        self
    }

    /// Programs that start QEMU, outermost first, such as `unshare ... --`.
    #[must_use]
    pub const fn wrappers(mut self, wrappers: &'a [Wrapper<'a>]) -> Self {
        self.wrappers = wrappers;
        self
    }

    /// Collects the reason of each option, for [`Vm::build_explained`].
    #[must_use]
    pub const fn explained(mut self) -> Self {
        self.explain = true;
        self
    }
}

/// A virtual machine under construction: machine type `M`, accelerator `A`, console `C`.
///
/// The type never grows with the number of devices, so loops, `if` and helper functions with `&mut Vm<...>` work. What is
/// added is written into the command at once; [`build`](Self::build) reports what was wrong, all of it.
///
/// | state of the console | method | leads to | needs |
/// |---|---|---|---|
/// | [`NoConsole`] | [`virtconsole`](Self::virtconsole) | [`OnVirtconsole`], `console=hvc0` | the console port of a virtio-serial controller |
/// | [`NoConsole`] | [`isa_serial_console`](Self::isa_serial_console) | [`OnIsaSerial`], `console=ttyS0` | a machine type with an ISA serial port that is on |
/// | [`NoConsole`] | [`pl011_console`](Self::pl011_console) | [`OnPl011`], `console=ttyAMA0` | `Virt` or `VirtPcie` |
/// | [`NoConsole`] | [`uart_console`](Self::uart_console) | [`OnUart`], the machine's own | a UART of either kind; for machine types chosen at run time |
/// | any | [`add`](Self::add), [`drive`](Self::drive), ... | the same | |
/// | any | [`build`](Self::build) | [`QemuCommand`] | |
///
/// Every VM starts from nothing: `-nodefaults -no-user-config -nographic -monitor none`. What is not added is not there.
///
/// ```
/// use qemu_dsl::prelude::*;
///
/// let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(256));
/// vm.kernel(Kernel::new("Image").cmdline("root=/dev/vda"));
/// let disk = vm.drive(Drive::new("root.qcow2", Format::Qcow2));
/// vm.add(VirtioBlk::new(disk));
/// let stdio = vm.chardev(Stdio::new());
/// let command = vm.pl011_console(stdio).build()?;
/// assert!(command.to_string().ends_with("-append 'console=ttyAMA0 root=/dev/vda'"));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[derive(Debug)]
#[must_use = "a VM does nothing until it is built"]
pub struct Vm<M, A, C = NoConsole> {
    inner: Inner,
    types: PhantomData<(M, A, C)>,
}

impl<M, A> Vm<M, A, NoConsole>
where
    M: MachineType + RunsUnder<A>,
    A: Accelerator,
{
    /// A VM for the `qemu-system-<architecture>` from `PATH`, of any version.
    ///
    /// Machine type, accelerator, CPU model and memory decide what else can be added, so they come first.
    pub fn new(machine: M, accelerator: A, cpu: impl CpuFor<M, A>, memory: Memory) -> Self {
        Self::for_target(&Target::default(), machine, accelerator, cpu, memory)
    }

    /// A VM for a certain QEMU. [`Target`] has an example.
    pub fn for_target(
        target: &Target<'_>,
        machine: M,
        accelerator: A,
        cpu: impl CpuFor<M, A>,
        memory: Memory,
    ) -> Self {
        Self::reusing(target, None, machine, accelerator, cpu, memory)
    }

    /// The same in the memory of a command that is no longer needed: then nothing of the command is allocated.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// use qemu_dsl::vm::Target;
    /// let first = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64)).build()?;
    /// let second = Vm::reusing(&Target::default(), Some(first), Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// assert!(second.build()?.to_string().contains("-machine q35"));
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn reusing(
        target: &Target<'_>,
        command: Option<QemuCommand>,
        machine: M,
        accelerator: A,
        cpu: impl CpuFor<M, A>,
        memory: Memory,
    ) -> Self {
        let board = Board {
            architecture: machine.architecture(),
            transport: machine.transport(),
            mmio_slots: machine.mmio_slots(),
            uart: machine.uart(),
            only_for: accelerator.only_for(),
        };
        let mut inner = Inner::new(target, command, board);
        inner.options("-accel", "how guest code runs", None, &mut |w| accelerator.write_opts(w));
        inner.options("-cpu", "the CPU model that the guest sees", None, &mut |w| cpu.write_opts(w));
        inner.options("-machine", "the machine type", None, &mut |w| machine.write_opts(w));
        inner.flag("-nodefaults", "no device that was not asked for");
        inner.flag("-no-user-config", "no configuration file of the host's changes the VM");
        inner.raw("-m", "the guest's memory", &[memory.mib().to_string().as_bytes(), b"M"]);
        inner.flag("-nographic", "no display");
        inner.raw("-monitor", "no human monitor: QMP is the only one", &[b"none"]);
        Self { inner, types: PhantomData }
    }
}

impl<M, A, C> Vm<M, A, C> {
    /// The guest kernel. [`Kernel`](crate::kernel::Kernel) has an example.
    pub fn kernel(&mut self, kernel: crate::kernel::Kernel<'_>) -> &mut Self {
        self.inner.kernel(&kernel);
        self
    }

    /// Gives the last option with this flag a reason of your own, where reasons are collected: otherwise the closure is
    /// not called. [`Explained`] has an example.
    pub fn because(&mut self, flag: &'static str, reason: impl FnOnce() -> Reason) -> &mut Self {
        self.inner.because(flag, reason);
        self
    }
}

impl<M, A, C: Console> Vm<M, A, C> {
    /// The CPUs; without this there is one.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.smp(Smp::new(2)?);
    /// assert!(vm.build()?.to_string().contains("-smp 2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn smp(&mut self, smp: Smp) -> &mut Self {
        self.inner.raw("-smp", "the CPUs", &[smp.to_value().as_bytes()]);
        self
    }

    /// The VM's name, which `ps` and management tools show.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.name("build, 1");
    /// assert!(vm.build()?.to_string().contains("-name 'guest=build,, 1'"));
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn name(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        let key = crate::opts::Key::new("guest");
        self.inner.options("-name", "what tools call the VM", None, &mut |writer| writer.option(&key, name.as_ref()));
        self
    }

    /// Ends QEMU when the guest reboots: `-no-reboot`.
    pub fn no_reboot(&mut self) -> &mut Self {
        self.inner.flag("-no-reboot", "a guest that reboots, or panics with panic=-1, ends QEMU");
        self
    }

    /// Restricts QEMU's own system calls: `-sandbox`. The binary needs seccomp.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.sandbox(Seccomp::strict());
    /// assert!(vm.build()?.to_string().contains("-sandbox on,obsolete=deny"));
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn sandbox(&mut self, seccomp: crate::seccomp::Seccomp) -> &mut Self {
        use crate::opts::QemuOpts as _;
        self.inner.options("-sandbox", "QEMU's own system calls are restricted", None, &mut |writer| {
            seccomp.write_opts(writer);
        });
        self
    }

    /// Adds an argument that this crate does not know, as it is: the last way out. It is one argument, whatever it
    /// holds, and shows in the explanation.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.raw_arg("-S");
    /// assert!(vm.build()?.to_string().contains("-monitor none -S"));
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn raw_arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.inner.raw_arg(arg.as_ref());
        self
    }

    /// Ends the VM.
    ///
    /// # Errors
    ///
    /// [`BuildErrors`]: everything that was wrong with what was added.
    pub fn build(mut self) -> Result<QemuCommand, BuildErrors> {
        self.finish();
        self.inner.build()
    }

    /// Ends the VM and returns the reasons too, for a [`Target`] that is [`explained`](Target::explained).
    /// [`Explained`] has an example.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_explained(mut self) -> Result<Explained, BuildErrors> {
        self.finish();
        self.inner.build_explained()
    }

    fn finish(&mut self) {
        let console = C::linux_name(self.inner.board().uart);
        if console.is_none() {
            self.inner.raw("-serial", "no console was asked for", &[b"none"]);
        }
        self.inner.finish(console);
    }
}

/// Whether a Unix socket's path can stand behind `-qmp unix:`, which has an implied first key: QEMU would take a path with
/// `=` for a key and a value.
fn fits_qmp_shorthand(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    !path.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b'=' | b','))
}
