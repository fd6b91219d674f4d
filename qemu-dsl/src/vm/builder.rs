//! The typed builder.
//!
//! Longer than other files, for the sake of its users: all methods stand in the module of their type, because the compiler
//! names a method by the module of its `impl`, and a private one in an error message helps nobody.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::console::{Console, ConsoleVacant, NoConsole, OnIsaSerial, OnPl011, OnUart, OnVirtconsole};
use super::error::BuildError;
use super::globals::{Monitor, MonitorMode, Mux, Name};
use super::inner::{Board, Inner, Kind};
use super::{BuildErrors, Explained, IntoMemory, Reason, Smp, Target};
use crate::accel::Accelerator;
use crate::backend::{
    BlockNode, Chardev, ChardevBackend, Drive, IntoSocketPath, IoThread, IoThreadObject, NetBackend, Netdev,
    ReadOnlyImage, RngBackend, RngRandom, SharedImage, Socket,
};
use crate::bus::{Bus, PlugsInto};
use crate::cpu::CpuFor;
use crate::device::{ConsolePort, Device, SerialPort, VirtConsole, VirtioSerial};
use crate::machine::{HasIsaSerial, HasPl011, HasUart, IoEventFd, MachineType, RunsUnder, Uart};
use crate::opts::{Decimal, Handle as _, Id, IntoId, QemuOpts};
use crate::{QemuCommand, Since};

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
    pub fn new(machine: M, accelerator: A, cpu: impl CpuFor<M, A>, memory: impl IntoMemory) -> Self {
        Self::for_target(&Target::default(), machine, accelerator, cpu, memory)
    }

    /// A VM for a certain QEMU. [`Target`] has an example.
    pub fn for_target(
        target: &Target<'_>,
        machine: M,
        accelerator: A,
        cpu: impl CpuFor<M, A>,
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
        cpu: impl CpuFor<M, A>,
        memory: impl IntoMemory,
    ) -> Self {
        let hardware = accelerator.is_hardware();
        let facts = machine.facts();
        let board = Board { facts, version: machine.version(), hardware, only_for: accelerator.only_for() };
        let inner = Inner::new(target, command, board).start(
            &|writer| accelerator.write_opts(writer),
            &|writer| cpu.write_for(facts.architecture, hardware, writer),
            &|writer| machine.write_opts(writer),
            memory.memory(),
            memory.template(),
        );
        Self { inner, types: PhantomData }
    }
}

impl<M, A, C> Vm<M, A, C> {
    /// The same VM under other types: for code that has checked its rules, and need not be compiled for each.
    pub(crate) fn retyped<M2, A2, C2>(self) -> Vm<M2, A2, C2> {
        Vm { inner: self.inner, types: PhantomData }
    }

    /// The guest kernel. [`Kernel`](crate::kernel::Kernel) has an example.
    pub fn kernel(&mut self, kernel: crate::kernel::Kernel<'_>) -> &mut Self {
        self.inner.kernel(&kernel);
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
        let (cpus, max) = smp.numbers();
        self.inner.check_cpus(cpus, max);
        match max {
            None => self.inner.raw("-smp", "the CPUs", &[Decimal::new(cpus).as_bytes()]),
            Some(max) => {
                let parts = [Decimal::new(cpus), Decimal::new(max)];
                self.inner.raw("-smp", "the CPUs", &[parts[0].as_bytes(), b",maxcpus=", parts[1].as_bytes()]);
            }
        }
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
        self.inner.options("-name", "what tools call the VM", None, &mut |writer| name.write_opts(writer));
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
        self.part_drive(None, &drive)
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
        self.part_drive(Some(id.into_id()), &drive)
    }

    fn part_drive(&mut self, id: Option<Id>, drive: &Drive<'_>) -> BlockNode {
        let id = self.inner.part(Kind::Drive, id, "a disk image", &mut |writer| drive.write_opts(writer));
        BlockNode::issued(id, self.inner.tag())
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
        let id = self.inner.node_name(id);
        let blockdev = image.blockdev(id);
        let why = "a disk image that nobody writes";
        self.inner.options("-blockdev", why, None, &mut |writer| blockdev.write_opts(writer));
        SharedImage::issued(id, self.inner.tag())
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
        self.part_chardev(None, &backend)
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
        self.part_chardev(Some(id.into_id()), &backend)
    }

    fn part_chardev<B: ChardevBackend>(&mut self, id: Option<Id>, backend: &B) -> Chardev {
        if B::TAKES_STDIO {
            self.inner.take_stdio();
        }
        let why = "a character device";
        let id = self.inner.part(Kind::Chardev, id, why, &mut |writer| backend.write_opts(writer));
        Chardev::issued(id, self.inner.tag())
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
        if B::TAKES_STDIO {
            self.inner.take_stdio();
        }
        let why = "a character device that front ends share";
        let id = self.inner.part(Kind::Chardev, None, why, &mut |writer| {
            backend.write_opts(writer);
            Mux { mux: true }.write_opts(writer);
        });
        let tag = self.inner.tag();
        std::array::from_fn(|_| Chardev::issued(id, tag))
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
    pub fn netdev<'n>(&mut self, netdev: impl Into<Netdev<'n>>) -> NetBackend {
        self.part_netdev(None, netdev.into())
    }

    /// The same with an id of your own.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let net = vm.netdev_as(id!("net0"), UserNetdev::new());
    /// assert_eq!(net.id().as_str(), "net0");
    /// ```
    pub fn netdev_as<'n>(&mut self, id: impl IntoId, netdev: impl Into<Netdev<'n>>) -> NetBackend {
        self.part_netdev(Some(id.into_id()), netdev.into())
    }

    fn part_netdev(&mut self, id: Option<Id>, netdev: Netdev<'_>) -> NetBackend {
        let id = self.inner.part(Kind::Netdev, id, "a network back end", &mut |writer| netdev.write_opts(writer));
        NetBackend::issued(id, self.inner.tag())
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
        let why = "a source of random numbers";
        let id = self.inner.part(Kind::Rng, None, why, &mut |writer| backend.write_opts(writer));
        RngBackend::issued(id, self.inner.tag())
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
    /// if let Some(proof) = QemuVersion::new(10, 0, 0).since() {
    ///     let iothread = vm.iothread_since(id!("io"), proof);
    /// }
    /// ```
    pub fn iothread_since(&mut self, id: impl IntoId, _proof: Since<10, 0>) -> IoThread {
        self.part_iothread(Some(id.into_id()))
    }

    fn part_iothread(&mut self, id: Option<Id>) -> IoThread {
        let object = IoThreadObject {};
        let id = self.inner.part(Kind::IoThread, id, "a thread for disk I/O", &mut |writer| object.write_opts(writer));
        IoThread::issued(id, self.inner.tag())
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

    fn add_device<D: Device>(&mut self, id: Option<Id>, device: &D) {
        let slot = D::Bus::slot(self.inner.board().facts.transport);
        self.inner.device(id, D::NAME, D::SINGLE, slot, &mut |writer| device.write_opts(writer));
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
    /// let stdio = vm.chardev(Stdio::new());
    /// let vm = vm.virtconsole(console, stdio);
    /// assert!(vm.build().unwrap().to_string().contains("virtio-serial-device,max_ports=3"));
    /// ```
    pub fn virtio_serial<const N: usize>(&mut self) -> (ConsolePort, [SerialPort; N]) {
        let controller = self.add_controller(N);
        let tag = self.inner.tag();
        let ports = std::array::from_fn(|index| SerialPort::new(port_number(index), controller, tag));
        (ConsolePort::new(controller, tag), ports)
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
        let controller = self.add_controller(ports);
        let tag = self.inner.tag();
        let ports = (0..ports).map(|index| SerialPort::new(port_number(index), controller, tag)).collect();
        (ConsolePort::new(controller, tag), ports)
    }

    fn add_controller(&mut self, ports: usize) -> u32 {
        let max_ports = port_number(ports);
        if max_ports > VirtioSerial::MAX_PORTS {
            self.inner.error(BuildError::TooManyPorts { ports });
        }
        let controller = self.inner.next_controller();
        let id = (controller > 0).then(|| VirtioSerial::id(controller));
        self.add_device(id, &VirtioSerial::with_ports(max_ports));
        controller
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
        } else {
            let chardev = self.chardev_as(crate::id!("qmp"), Socket::listen(path));
            self.because("-chardev", || Reason::new("QMP's socket: its path does not fit `-qmp unix:`"));
            self.qmp_on(chardev);
        }
        self
    }

    /// Speaks QMP on a character device. [`PassedSocket`](crate::backend::PassedSocket) has an example.
    pub fn qmp_on(&mut self, chardev: Chardev) -> &mut Self {
        let monitor = Monitor { chardev: &chardev, mode: MonitorMode::Control };
        self.inner.options("-mon", "control over a character device", None, &mut |writer| monitor.write_opts(writer));
        self
    }
}

impl<M: MachineType, A: Accelerator, C: Console> Vm<M, A, C> {
    /// Makes the virtio-serial port the VM's console, the guest's `hvc0`. [`Vm::virtio_serial`] has an example.
    pub fn virtconsole(mut self, port: ConsolePort, chardev: Chardev) -> Vm<M, A, OnVirtconsole>
    where
        C: ConsoleVacant,
    {
        self.inner.virtconsole(&VirtConsole::new(port, chardev));
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
    pub fn isa_serial_console(self, chardev: Chardev) -> Vm<M, A, OnIsaSerial>
    where
        M: HasIsaSerial,
        C: ConsoleVacant,
    {
        self.on_uart(Uart::ISA_SERIAL, &chardev)
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
    pub fn pl011_console(self, chardev: Chardev) -> Vm<M, A, OnPl011>
    where
        M: HasPl011,
        C: ConsoleVacant,
    {
        self.on_uart(Uart::PL011, &chardev)
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
    pub fn uart_console(self, chardev: Chardev) -> Vm<M, A, OnUart>
    where
        M: HasUart,
        C: ConsoleVacant,
    {
        self.on_uart(M::UART, &chardev)
    }

    fn on_uart<C2>(mut self, uart: Uart, chardev: &Chardev) -> Vm<M, A, C2> {
        self.inner.serial(uart, chardev);
        self.retyped()
    }
}

/// The number of the port behind `index` others: port 0 is the console's.
fn port_number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX - 1) + 1
}

/// Whether a Unix socket's path can stand behind `-qmp unix:`, which has an implied first key: QEMU would take a path with
/// `=` for a key and a value.
fn fits_qmp_shorthand(path: &Path) -> bool {
    !path.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b'=' | b','))
}
