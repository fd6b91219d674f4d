//! The typed builder.
//!
//! Longer than other files, for the sake of its users: all methods stand in the module of their type, because the compiler
//! names a method by the module of its `impl`, and a private one in an error message helps nobody.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::console::{
    AnyConsole, Console, ConsoleVacant, MayHaveConsole, NoConsole, OnIsaSerial, OnPl011, OnUart, OnVirtconsole,
};
use super::error::BuildError;
use super::globals::{Monitor, MonitorMode, Mux, Name};
use super::inner::{Board, Inner, Once};
use super::{BuildErrors, Explained, IntoMemory, IntoSmp, Reason, Target};
use crate::accel::sealed::IsAccelerator;
use crate::accel::{Accelerator, AnyAccel};
use crate::backend::{
    Backend, BlockNode, Chardev, ChardevBackend, Drive, IntoChardev, IntoNetdev, IntoSocketPath, IoThread,
    IoThreadObject, NetBackend, ReadOnlyImage, RngBackend, RngRandom, SharedImage, Socket,
};
use crate::bus::{Bus, Device, HasBus, PlugsInto, ProvidedBus, ProvidesBus, Virtio};
use crate::cpu::CpuFor;
use crate::device::{CONTROLLER, ConsolePort, Controller, FIRST_CONTROLLER, SerialPort, VirtConsole, VirtioSerial};
use crate::kernel::IntoKernel;
use crate::machine::{AnyMachine, HasIsaSerial, HasPl011, HasUart, IoEventFd, MachineType, RunsUnder, Uart};
use crate::opts::{Decimal, Handle, Id, IntoId, Key, OptWriter, QemuOpts, Role, Token, Trait};
use crate::{ProvesSince, QemuCommand};

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
/// | any | [`any_console`](Self::any_console) | [`AnyConsole`], with `set_...` methods for an `if` | |
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
    // First, so that what is no accelerator is told of first.
    A: IsAccelerator,
    // Through what an accelerator says of itself: without one, nothing is said of the other two.
    M: MachineType + RunsUnder<A::Itself>,
{
    /// A VM for the `qemu-system-<architecture>` from `PATH`, of any version.
    ///
    /// Machine type, accelerator, CPU model and memory decide what else can be added, so they come first.
    pub fn new(machine: M, accelerator: A, cpu: impl CpuFor<M, A::Itself>, memory: impl IntoMemory) -> Self {
        Self::for_target(&Target::default(), machine, accelerator, cpu, memory)
    }

    /// A VM for a certain QEMU. [`Target`] has an example.
    pub fn for_target(
        target: &Target<'_>,
        machine: M,
        accelerator: A,
        cpu: impl CpuFor<M, A::Itself>,
        memory: impl IntoMemory,
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
        cpu: impl CpuFor<M, A::Itself>,
        memory: impl IntoMemory,
    ) -> Self {
        let accelerator = accelerator.itself();
        let hardware = accelerator.is_hardware();
        let facts = machine.facts();
        let board = Board { facts, version: machine.version(), hardware, only_for: accelerator.only_for() };
        let mut vm = Self { inner: Inner::new(target, command, board), types: PhantomData };
        vm.inner.start(
            target,
            &|writer| accelerator.write_opts(writer),
            &|writer| cpu.write_for(facts.architecture, hardware, writer),
            &|writer| machine.write_opts(writer),
            memory.memory(),
            memory.template(),
        );
        vm
    }
}

impl<M, A, C> Vm<M, A, C> {
    /// The same VM under other types: for code that has checked its rules, and need not be compiled for each.
    pub(crate) fn retyped<M2, A2, C2>(self) -> Vm<M2, A2, C2> {
        Vm { inner: self.inner, types: PhantomData }
    }

    /// The guest kernel, with its initial RAM disk and command line, in the place of an earlier one.
    /// [`Kernel`](crate::kernel::Kernel) has an example.
    pub fn kernel<'k>(&mut self, kernel: impl IntoKernel<'k>) -> &mut Self {
        let kernel = kernel.into_kernel();
        self.inner.once(Once::Kernel, |inner| inner.kernel(&kernel));
        self
    }

    /// Says that there is no kernel, and that this is meant: on machine types that start no disk by themselves, where it would be
    /// an error. For firmware (`-bios`), and for machines that are only asked something.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
    /// vm.without_kernel().raw_arg("-bios").raw_arg("firmware.bin");
    /// # vm.build()?;
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn without_kernel(&mut self) -> &mut Self {
        self.inner.without_kernel();
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
    /// The CPUs, in the place of earlier ones; without this there is one.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.smp(Smp::new(2)?);
    /// assert!(vm.build()?.to_string().contains("-smp 2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn smp(&mut self, smp: impl IntoSmp) -> &mut Self {
        let (cpus, max) = smp.into_smp().numbers();
        self.inner.cpus = (cpus, max);
        self.inner.once(Once::Smp, |inner| match max {
            None => inner.raw("-smp", "the CPUs", &[Decimal::new(cpus).as_bytes()]),
            Some(max) => {
                let parts = [Decimal::new(cpus), Decimal::new(max)];
                inner.raw("-smp", "the CPUs", &[parts[0].as_bytes(), b",maxcpus=", parts[1].as_bytes()]);
            }
        });
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
        let name = Name { guest: name.as_ref() };
        self.inner.once(Once::Name, |inner| {
            inner.options("-name", "what tools call the VM", None, &mut |writer| name.write_opts(writer));
        });
        self
    }

    /// Ends QEMU when the guest reboots: `-no-reboot`.
    pub fn no_reboot(&mut self) -> &mut Self {
        self.inner.once(Once::NoReboot, |inner| {
            inner.flag("-no-reboot", "a guest that reboots, or panics with panic=-1, ends QEMU");
        });
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
        self.inner.once(Once::Sandbox, |inner| {
            inner.options("-sandbox", "QEMU's own system calls are restricted", None, &mut |writer| {
                seccomp.write_opts(writer);
            });
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
        self.inner.finish();
        self.inner.build()
    }

    /// Ends the VM and returns the reasons too, for a [`Target`] that is [`explained`](Target::explained).
    /// [`Explained`] has an example.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_explained(mut self) -> Result<Explained, BuildErrors> {
        self.inner.finish();
        self.inner.build_explained()
    }
}

impl<M: MachineType, A: Accelerator, C: Console> Vm<M, A, C> {
    /// Adds a disk image, for one block device.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let disk = vm.drive(Drive::new("root.qcow2", Format::Qcow2));
    /// vm.add(VirtioBlk::new(disk));
    /// # vm.build().unwrap();
    /// ```
    pub fn drive(&mut self, drive: Drive<'_>) -> BlockNode {
        self.part(None, "a disk image", &drive)
    }

    /// The same with an id of your own.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let disk = vm.drive_as(id!("hd0"), Drive::new("root.qcow2", Format::Qcow2));
    /// assert_eq!(disk.id().as_str(), "hd0");
    /// ```
    pub fn drive_as(&mut self, id: impl IntoId, drive: Drive<'_>) -> BlockNode {
        self.part(Some(id.into_id()), "a disk image", &drive)
    }

    /// Adds a back end of any kind, and returns its handle. [`Backend`] has an example.
    pub fn backend<B: Backend>(&mut self, backend: B) -> B::Handle {
        self.part(None, "a back end of the definition", &backend)
    }

    /// The same with an id of your own.
    pub fn backend_as<B: Backend>(&mut self, id: impl IntoId, backend: B) -> B::Handle {
        self.part(Some(id.into_id()), "a back end of the definition", &backend)
    }

    fn part<B: Backend>(&mut self, id: Option<Id>, why: &'static str, backend: &B) -> B::Handle {
        if B::TAKES_STDIO {
            self.inner.take_stdio();
        }
        let part = self.inner.part(B::Handle::KIND, id, why, &mut |writer| backend.write_opts(writer));
        if !B::TALKS_BOTH_WAYS {
            self.inner.mark(part.place, Trait::OneWay);
        }
        B::Handle::from_issued(part, Token::OWN)
    }

    /// Keeps a part that no device has yet, for devices that are plugged in later, and returns its id. Without this, what is not
    /// used is an error of the VM.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let disk = vm.drive(Drive::new("later.qcow2", Format::Qcow2));
    /// let id = vm.spare(disk);
    /// assert_eq!(id.as_str(), "drive0"); // device_add virtio-blk-pci,drive=drive0
    /// # vm.build()?;
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn spare(&mut self, part: impl Handle) -> Id {
        let part = part.part(Token::OWN);
        self.inner.keep(part.place, &part.id);
        part.id
    }

    /// Keeps a port of a virtio-serial controller that no device has yet, as [`spare`](Self::spare) does.
    pub fn spare_port(&mut self, port: SerialPort) -> &mut Self {
        for part in port.parts() {
            self.inner.keep(part, &format_args!("port {}", port.nr()));
        }
        self
    }

    /// Adds a disk image that nobody writes, for any number of block devices.
    ///
    /// ```
    /// use qemu_dsl::backend::ReadOnlyImage;
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let data = vm.shared_image(ReadOnlyImage::new("data.raw", Format::Raw));
    /// vm.add(VirtioBlk::new(data.node()).serial(DiskSerial::new("first")?));
    /// vm.add(VirtioBlk::new(data.node()).serial(DiskSerial::new("second")?));
    /// # vm.build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shared_image(&mut self, image: ReadOnlyImage<'_>) -> SharedImage {
        self.part_image(None, image)
    }

    /// The same with a node name of your own, of at most 31 bytes.
    ///
    /// ```
    /// use qemu_dsl::backend::ReadOnlyImage;
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let data = vm.shared_image_as(id!("data"), ReadOnlyImage::new("data.raw", Format::Raw));
    /// assert_eq!(data.id().as_str(), "data");
    /// ```
    pub fn shared_image_as(&mut self, id: impl IntoId, image: ReadOnlyImage<'_>) -> SharedImage {
        self.part_image(Some(id.into_id()), image)
    }

    fn part_image(&mut self, id: Option<Id>, image: ReadOnlyImage<'_>) -> SharedImage {
        let part = self.inner.issue(SharedImage::KIND, id);
        let blockdev = image.blockdev(part.id);
        let why = "a disk image that nobody writes";
        self.inner.options("-blockdev", why, None, &mut |writer| blockdev.write_opts(writer));
        SharedImage::from_issued(part, Token::OWN)
    }

    /// Adds a character device, for one console, port or monitor.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let stdio = vm.chardev(Stdio::new());
    /// let vm = vm.isa_serial_console(stdio);
    /// # vm.build().unwrap();
    /// ```
    pub fn chardev<B: ChardevBackend>(&mut self, backend: B) -> Chardev {
        self.part(None, "a character device", &backend)
    }

    /// The same with an id of your own.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let stdio = vm.chardev_as(id!("console"), Stdio::new());
    /// assert_eq!(stdio.id().as_str(), "console");
    /// ```
    pub fn chardev_as<B: ChardevBackend>(&mut self, id: impl IntoId, backend: B) -> Chardev {
        self.part(Some(id.into_id()), "a character device", &backend)
    }

    /// Adds a character device that front ends share, each with a handle of its own: four, which is all that QEMU allows.
    /// What they write is mixed; Ctrl-A C says which one reads. (`MAX_MUX`, chardev/chardev-internal.h)
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let (_, [log]) = vm.virtio_serial();
    /// let [console, messages, ..] = vm.mux_chardev(Stdio::new());
    /// vm.add(VirtSerialPort::new(log, messages).name("org.example.log"));
    /// let command = vm.isa_serial_console(console).build()?.to_string();
    /// assert!(command.contains("-chardev stdio,id=chardev0,mux=on"));
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn mux_chardev<B: ChardevBackend>(&mut self, backend: B) -> [Chardev; 4] {
        self.part_mux(None, &backend)
    }

    /// The same with an id of your own.
    pub fn mux_chardev_as<B: ChardevBackend>(&mut self, id: impl IntoId, backend: B) -> [Chardev; 4] {
        self.part_mux(Some(id.into_id()), &backend)
    }

    fn part_mux<B: ChardevBackend>(&mut self, id: Option<Id>, backend: &B) -> [Chardev; 4] {
        if <B as ChardevBackend>::TAKES_STDIO {
            self.inner.take_stdio();
        }
        let why = "a character device that front ends share";
        let part = self.inner.part(Chardev::KIND, id, why, &mut |writer| {
            backend.write_opts(writer);
            Mux { mux: true }.write_opts(writer);
        });
        if !<B as ChardevBackend>::TALKS_BOTH_WAYS {
            self.inner.mark(part.place, Trait::OneWay);
        }
        self.inner.share(part.place, 4);
        std::array::from_fn(|_| Chardev::from_issued(part, Token::OWN))
    }

    /// Adds a network back end, for one network device.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let net = vm.netdev(UserNetdev::new().restrict(true));
    /// vm.add(VirtioNet::new(net));
    /// # vm.build().unwrap();
    /// ```
    pub fn netdev<'n>(&mut self, netdev: impl IntoNetdev<'n>) -> NetBackend {
        self.part(None, "a network back end", &netdev.into_netdev())
    }

    /// The same with an id of your own.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let net = vm.netdev_as(id!("net0"), UserNetdev::new());
    /// assert_eq!(net.id().as_str(), "net0");
    /// ```
    pub fn netdev_as<'n>(&mut self, id: impl IntoId, netdev: impl IntoNetdev<'n>) -> NetBackend {
        self.part(Some(id.into_id()), "a network back end", &netdev.into_netdev())
    }

    /// Adds a source of random numbers, for one random number generator.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let random = vm.rng_backend(RngRandom::urandom());
    /// vm.add(VirtioRng::new(random));
    /// # vm.build().unwrap();
    /// ```
    pub fn rng_backend(&mut self, backend: RngRandom<'_>) -> RngBackend {
        self.part(None, "a source of random numbers", &backend)
    }

    /// The same with an id of your own.
    pub fn rng_backend_as(&mut self, id: impl IntoId, backend: RngRandom<'_>) -> RngBackend {
        self.part(Some(id.into_id()), "a source of random numbers", &backend)
    }

    /// Adds an I/O thread, for any number of block devices.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let iothread = vm.iothread();
    /// for image in ["a.qcow2", "b.qcow2"] {
    ///     let disk = vm.drive(Drive::new(image, Format::Qcow2));
    ///     vm.add(VirtioBlk::new(disk).iothread(iothread));
    /// }
    /// # vm.build().unwrap();
    /// ```
    pub fn iothread(&mut self) -> IoThread
    where
        M: IoEventFd<A>,
    {
        self.part_iothread(None)
    }

    /// The same with an id of your own.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// assert_eq!(vm.iothread_as(id!("io")).id().as_str(), "io");
    /// ```
    pub fn iothread_as(&mut self, id: impl IntoId) -> IoThread
    where
        M: IoEventFd<A>,
    {
        self.part_iothread(Some(id.into_id()))
    }

    /// Adds an I/O thread on any machine type under any accelerator, with the proof that QEMU is 10.0 or later: from there
    /// on (measured; 7.2 refuses) virtio-mmio has ioeventfd under TCG too.
    ///
    /// ```
    /// use qemu_dsl::QemuVersion;
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
    /// vm.kernel(Kernel::new("Image"));
    /// if let Some(proof) = QemuVersion::new(10, 0, 0).since() {
    ///     let iothread = vm.iothread_since(id!("io"), proof);
    ///     let disk = vm.drive(Drive::new("disk.raw", Format::Raw));
    ///     vm.add(VirtioBlk::new(disk).iothread(iothread));
    /// }
    /// # vm.build().unwrap();
    /// ```
    pub fn iothread_since(&mut self, id: impl IntoId, _proof: impl ProvesSince<10, 0>) -> IoThread {
        let iothread = self.part_iothread(Some(id.into_id()));
        self.inner.mark(iothread.part(Token::OWN).place, Trait::Proven);
        iothread
    }

    fn part_iothread(&mut self, id: Option<Id>) -> IoThread {
        let object = IoThreadObject {};
        let why = "a thread for disk I/O";
        let part = self.inner.part(IoThread::KIND, id, why, &mut |writer| object.write_opts(writer));
        IoThread::from_issued(part, Token::OWN)
    }

    /// Adds a device.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.add(VirtioBalloon::new());
    /// # vm.build().unwrap();
    /// ```
    pub fn add<D>(&mut self, device: D) -> &mut Self
    where
        D: Device + PlugsInto<M, D::Bus>,
    {
        self.add_device(None, &device);
        self
    }

    /// The same with an id, by which QMP clients can name the device.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.add_as(id!("balloon"), VirtioBalloon::new());
    /// assert!(vm.build().unwrap().to_string().contains("-device virtio-balloon-pci,id=balloon"));
    /// ```
    pub fn add_as<D>(&mut self, id: impl IntoId, device: D) -> &mut Self
    where
        D: Device + PlugsInto<M, D::Bus>,
    {
        self.add_device(Some(id.into_id()), &device);
        self
    }

    /// Adds devices of one kind: none, one or many; an [`Option`] too.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let balloon = std::env::var_os("NO_BALLOON").is_none().then(VirtioBalloon::new);
    /// vm.add_all(balloon);
    /// # vm.build().unwrap();
    /// ```
    pub fn add_all<D>(&mut self, devices: impl IntoIterator<Item = D>) -> &mut Self
    where
        D: Device + PlugsInto<M, D::Bus>,
    {
        for device in devices {
            self.add_device(None, &device);
        }
        self
    }

    pub(super) fn add_device<D: Device>(&mut self, id: Option<Id>, device: &D) {
        let slot = D::Bus::slot(self.inner.board().facts.transport);
        self.inner.device(id, D::NAME, D::SINGLE, slot, &mut |writer| device.write_opts(writer));
    }

    /// Adds a device that provides a bus, and returns the bus. [`ProvidesBus`] has an example.
    pub fn add_bus<D>(&mut self, device: D) -> ProvidedBus<D::Provides>
    where
        D: ProvidesBus + PlugsInto<M, D::Bus>,
    {
        self.part_bus(None, &device)
    }

    /// The same with an id of your own.
    pub fn add_bus_as<D>(&mut self, id: impl IntoId, device: D) -> ProvidedBus<D::Provides>
    where
        D: ProvidesBus + PlugsInto<M, D::Bus>,
    {
        self.part_bus(Some(id.into_id()), &device)
    }

    fn part_bus<D: ProvidesBus>(&mut self, id: Option<Id>, device: &D) -> ProvidedBus<D::Provides> {
        let slot = D::Bus::slot(self.inner.board().facts.transport);
        let part = self.inner.issue(ProvidedBus::<D::Provides>::KIND, id);
        self.inner.named_device(&part.id, D::NAME, D::SINGLE, slot, &mut |writer| device.write_opts(writer));
        ProvidedBus::new(part, D::SUFFIX)
    }

    /// Adds a device to a bus that another device provides. [`ProvidesBus`] has an example.
    pub fn add_to<D: Device>(&mut self, bus: &ProvidedBus<D::Bus>, device: D) -> &mut Self {
        self.add_device_to(None, bus, &device);
        self
    }

    /// The same with an id of your own.
    pub fn add_to_as<D: Device>(&mut self, id: impl IntoId, bus: &ProvidedBus<D::Bus>, device: D) -> &mut Self {
        self.add_device_to(Some(id.into_id()), bus, &device);
        self
    }

    fn add_device_to<D: Device>(&mut self, id: Option<Id>, bus: &ProvidedBus<D::Bus>, device: &D) {
        const BUS: Key = Key::new("bus");
        self.inner.device(id, D::NAME, D::SINGLE, None, &mut |writer| {
            device.write_opts(writer);
            writer.option(&BUS, bus);
        });
    }

    /// Adds a virtio-serial controller, and returns its ports: one for a console, and as many for channels as the pattern
    /// takes.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.kernel(Kernel::new("vmlinuz"));
    /// let (console, [commands, events]) = vm.virtio_serial();
    /// assert_eq!((commands.nr(), events.nr()), (1, 2));
    /// vm.spare_port(commands).spare_port(events);
    /// let stdio = vm.chardev(Stdio::new());
    /// let vm = vm.virtconsole(console, stdio);
    /// assert!(vm.build().unwrap().to_string().contains("virtio-serial-device,max_ports=3"));
    /// ```
    pub fn virtio_serial<const N: usize>(&mut self) -> (ConsolePort, [SerialPort; N]) {
        self.array_of_ports(None)
    }

    /// The same with an id of your own.
    pub fn virtio_serial_as<const N: usize>(&mut self, id: impl IntoId) -> (ConsolePort, [SerialPort; N]) {
        self.array_of_ports(Some(id.into_id()))
    }

    fn array_of_ports<const N: usize>(&mut self, id: Option<Id>) -> (ConsolePort, [SerialPort; N]) {
        let (controller, console) = self.add_controller(id, N);
        (console, std::array::from_fn(|index| self.port(index, controller)))
    }

    /// The same with a number of ports that is known at run time: at most 510.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let paths = ["a.sock", "b.sock"];
    /// let (_, ports) = vm.virtio_serial_ports(paths.len());
    /// for (port, path) in ports.into_iter().zip(paths) {
    ///     let socket = vm.chardev(Socket::listen(SocketPath::new(path)?));
    ///     vm.add(VirtSerialPort::new(port, socket));
    /// }
    /// # vm.build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn virtio_serial_ports(&mut self, ports: usize) -> (ConsolePort, Vec<SerialPort>) {
        let (controller, console) = self.add_controller(None, ports);
        // Too many are an error already.
        let ports = ports.min(VirtioSerial::MAX_PORTS as usize);
        (console, (0..ports).map(|index| self.port(index, controller)).collect())
    }

    fn port(&mut self, index: usize, controller: Controller) -> SerialPort {
        let nr = port_number(index);
        SerialPort::new(nr, controller, self.inner.issue_port(nr))
    }

    fn add_controller(&mut self, id: Option<Id>, ports: usize) -> (Controller, ConsolePort) {
        let max_ports = port_number(ports);
        if max_ports > VirtioSerial::MAX_PORTS {
            self.inner.error(BuildError::TooManyPorts { ports });
        }
        let number = self.inner.next_controller();
        let id = id.or_else(|| (number > 0).then(|| VirtioSerial::id(number)));
        let kind = if id.is_some() { CONTROLLER } else { FIRST_CONTROLLER };
        let part = self.inner.issue(kind, Some(id.unwrap_or_else(|| VirtioSerial::id(0)))).place;
        let device = VirtioSerial::with_ports(max_ports);
        let slot = Virtio::slot(self.inner.board().facts.transport);
        let write = &mut |writer: &mut OptWriter<'_>| device.write_opts(writer);
        match &id {
            Some(id) => self.inner.named_device(id, VirtioSerial::NAME, false, slot, write),
            None => self.inner.device(None, VirtioSerial::NAME, false, slot, write),
        }
        let controller = Controller { number, id, part };
        // The one of a VM whose console is elsewhere stays free.
        let console = self.inner.issue_port(0);
        (controller, ConsolePort::new(controller, console))
    }

    /// Listens for QMP clients on a Unix socket, without waiting for one.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.qmp(SocketPath::new("/run/vm/qmp.sock")?);
    /// assert!(vm.build()?.to_string().contains("-qmp unix:/run/vm/qmp.sock,server=on,wait=off"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn qmp<'p>(&mut self, path: impl IntoSocketPath<'p>) -> &mut Self {
        let path = path.into_socket_path();
        if fits_qmp_shorthand(path.as_path()) {
            let path = path.as_path().as_os_str().as_bytes();
            self.inner.raw("-qmp", "control over a Unix socket", &[b"unix:", path, b",server=on,wait=off"]);
            self.inner.claim_path(Role::Listens, b"unix:".len(), path.len());
        } else {
            let id = crate::id!("qmp");
            let id = if self.inner.has_id(Chardev::KIND, &id) { None } else { Some(id) };
            let chardev = self.part(id, "the socket of QMP", &Socket::listen(path));
            self.because("-chardev", || Reason::new("QMP's socket: its path does not fit `-qmp unix:`"));
            self.qmp_on(chardev);
        }
        self
    }

    /// Speaks QMP on a character device. [`PassedSocket`](crate::backend::PassedSocket) has an example.
    pub fn qmp_on(&mut self, chardev: impl IntoChardev) -> &mut Self {
        let chardev = chardev.into_chardev();
        let part = chardev.part(Token::OWN);
        if self.inner.part_mut(part.place).is_some_and(|part| part.trait_of == Trait::OneWay) {
            self.inner.error(BuildError::OneWayMonitor { id: part.id.to_string() });
        }
        let monitor = Monitor { chardev: &chardev, mode: MonitorMode::Control };
        self.inner.options("-mon", "control over a character device", None, &mut |writer| monitor.write_opts(writer));
        self
    }
}

impl<M: MachineType, A: Accelerator, C: Console> Vm<M, A, C> {
    /// Makes the virtio-serial port the VM's console, the guest's `hvc0`. [`Vm::virtio_serial`] has an example.
    #[must_use = "the VM comes back: `let vm = vm.virtconsole(port, chardev);`"]
    pub fn virtconsole(mut self, port: ConsolePort, chardev: impl IntoChardev) -> Vm<M, A, OnVirtconsole>
    where
        C: ConsoleVacant,
    {
        self.inner.virtconsole(&VirtConsole::new(port, chardev.into_chardev()));
        self.retyped()
    }

    /// Makes the first ISA serial port the VM's console, the guest's `ttyS0`.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let stdio = vm.chardev(Stdio::new());
    /// let vm = vm.isa_serial_console(stdio);
    /// # vm.build().unwrap();
    /// ```
    #[must_use = "the VM comes back: `let vm = vm.isa_serial_console(chardev);`"]
    pub fn isa_serial_console(self, chardev: impl IntoChardev) -> Vm<M, A, OnIsaSerial>
    where
        M: HasIsaSerial,
        C: ConsoleVacant,
    {
        self.on_uart(Uart::ISA_SERIAL, &chardev.into_chardev())
    }

    /// Makes the PL011 UART the VM's console, the guest's `ttyAMA0`.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
    /// vm.kernel(Kernel::new("Image"));
    /// let stdio = vm.chardev(Stdio::new());
    /// let vm = vm.pl011_console(stdio);
    /// # vm.build().unwrap();
    /// ```
    #[must_use = "the VM comes back: `let vm = vm.pl011_console(chardev);`"]
    pub fn pl011_console(self, chardev: impl IntoChardev) -> Vm<M, A, OnPl011>
    where
        M: HasPl011,
        C: ConsoleVacant,
    {
        self.on_uart(Uart::PL011, &chardev.into_chardev())
    }

    /// Makes the machine's own UART the VM's console, whichever it is: for machine types chosen at run time.
    ///
    /// ```
    /// use qemu_dsl::cpu::BestCpu;
    /// use qemu_dsl::machine::AnyMachine;
    /// use qemu_dsl::prelude::*;
    /// let machine = AnyMachine::from(Virt::new());
    /// let mut vm = Vm::new(machine, Tcg::new(), BestCpu::new(), mib!(64));
    /// vm.kernel(Kernel::new("Image"));
    /// let stdio = vm.chardev(Stdio::new());
    /// let command = vm.uart_console(stdio).build().unwrap();
    /// assert!(command.to_string().ends_with("-append console=ttyAMA0"));
    /// ```
    #[must_use = "the VM comes back: `let vm = vm.uart_console(chardev);`"]
    pub fn uart_console(self, chardev: impl IntoChardev) -> Vm<M, A, OnUart>
    where
        M: HasUart,
        C: ConsoleVacant,
    {
        self.on_uart(M::UART, &chardev.into_chardev())
    }

    fn on_uart<C2>(mut self, uart: Uart, chardev: &Chardev) -> Vm<M, A, C2> {
        self.inner.serial(uart, chardev);
        self.retyped()
    }
}

impl<M: MachineType, A: Accelerator, C: Console> Vm<M, A, C> {
    /// The same VM, whatever its console: for a console that an `if` decides, for a [`Vec`] of VMs, for the field of a struct. A second
    /// console is an error of [`build`](Self::build) then.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// use qemu_dsl::vm::AnyConsole;
    ///
    /// fn vm(with_console: bool) -> Vm<Pc, Tcg, AnyConsole> {
    ///     let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64)).any_console();
    ///     if with_console {
    ///         let stdio = vm.chardev(Stdio::new());
    ///         vm.set_isa_serial_console(stdio);
    ///     }
    ///     vm
    /// }
    /// for vm in [vm(false), vm(true)] {
    ///     vm.build()?;
    /// }
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn any_console(self) -> Vm<M, A, AnyConsole> {
        self.retyped()
    }

    /// The same VM, whatever its machine type, accelerator and console: VMs of all types in one [`Vec`]. What is added to it is what
    /// every machine type has.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let pc = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let virt = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
    /// for mut vm in [pc.into_any(), virt.into_any()] {
    ///     vm.kernel(Kernel::new("vmlinuz"));
    ///     vm.add(VirtioBalloon::new());
    ///     let stdio = vm.chardev(Stdio::new());
    ///     vm.set_uart_console(stdio);
    ///     vm.build()?;
    /// }
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn into_any(self) -> Vm<AnyMachine, AnyAccel, AnyConsole>
    where
        M: HasBus<Virtio>,
    {
        self.retyped()
    }

    /// Has the kernel's messages on the machine's UART too, beside the console that follows: `console=ttyS0 console=hvc0`. Linux gives
    /// `/dev/console` to the last one.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// vm.kernel(Kernel::new("vmlinuz"));
    /// let log = vm.chardev(LogFile::new("early.log"));
    /// vm.uart_log(log);
    /// let (console, []) = vm.virtio_serial();
    /// let stdio = vm.chardev(Stdio::new());
    /// let command = vm.virtconsole(console, stdio).build()?;
    /// assert!(command.to_string().ends_with("-append 'console=ttyS0 console=hvc0'"));
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    pub fn uart_log(&mut self, chardev: impl IntoChardev) -> &mut Self
    where
        M: HasUart,
        C: MayHaveConsole,
    {
        self.inner.log(M::UART, &chardev.into_chardev());
        self
    }
}

impl<M: MachineType, A: Accelerator> Vm<M, A, AnyConsole> {
    /// Makes the virtio-serial port the console, as [`virtconsole`](Self::virtconsole) does.
    pub fn set_virtconsole(&mut self, port: ConsolePort, chardev: impl IntoChardev) -> &mut Self {
        self.inner.virtconsole(&VirtConsole::new(port, chardev.into_chardev()));
        self
    }

    /// Makes the first ISA serial port the console, as [`isa_serial_console`](Self::isa_serial_console) does.
    pub fn set_isa_serial_console(&mut self, chardev: impl IntoChardev) -> &mut Self
    where
        M: HasIsaSerial,
    {
        self.inner.serial(Uart::ISA_SERIAL, &chardev.into_chardev());
        self
    }

    /// Makes the PL011 UART the console, as [`pl011_console`](Self::pl011_console) does.
    pub fn set_pl011_console(&mut self, chardev: impl IntoChardev) -> &mut Self
    where
        M: HasPl011,
    {
        self.inner.serial(Uart::PL011, &chardev.into_chardev());
        self
    }

    /// Makes the machine's own UART the console, as [`uart_console`](Self::uart_console) does. A machine without one that is switched
    /// on is an error of [`build`](Self::build).
    pub fn set_uart_console(&mut self, chardev: impl IntoChardev) -> &mut Self
    where
        M: HasUart,
    {
        self.inner.serial(M::UART, &chardev.into_chardev());
        self
    }
}

/// [`Vm::build`] at the end of a chain, which has a `&mut Vm`: what is left of that VM answers
/// [`BuildError::BuiltAlready`]. In the prelude.
///
/// ```
/// use qemu_dsl::prelude::*;
/// let command = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64)).add(VirtioBalloon::new()).build()?;
/// assert!(command.to_string().contains("-device virtio-balloon-pci"));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
pub trait BuildChain: sealed::Sealed {
    /// Ends the VM.
    ///
    /// # Errors
    ///
    /// As [`Vm::build`].
    fn build(self) -> Result<QemuCommand, BuildErrors>;

    /// Ends the VM and returns the reasons too.
    ///
    /// # Errors
    ///
    /// As [`Vm::build_explained`].
    fn build_explained(self) -> Result<Explained, BuildErrors>;
}

#[diagnostic::do_not_recommend]
impl<M, A, C: Console> BuildChain for &mut Vm<M, A, C> {
    fn build(self) -> Result<QemuCommand, BuildErrors> {
        let mut inner = self.inner.take();
        inner.finish();
        inner.build()
    }

    fn build_explained(self) -> Result<Explained, BuildErrors> {
        let mut inner = self.inner.take();
        inner.finish();
        inner.build_explained()
    }
}

mod sealed {
    pub trait Sealed {}
    impl<M, A, C> Sealed for &mut super::Vm<M, A, C> {}
}

/// The number of the port behind `index` others: port 0 is the console's.
fn port_number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX - 1) + 1
}

/// Whether a Unix socket's path can stand behind `-qmp unix:`, which has an implied first key: QEMU would take a path with
/// `=` for a key and a value.
fn fits_qmp_shorthand(path: &Path) -> bool {
    memchr::memchr2(b'=', b',', path.as_os_str().as_bytes()).is_none()
}
