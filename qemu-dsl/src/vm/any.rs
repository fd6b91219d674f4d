//! [`AnyVm`]: what every VM can do.

use std::ffi::OsStr;

use super::builder::Vm;
use super::console::Console;
use super::size::IntoSmp;
use crate::accel::Accelerator;
use crate::backend::{
    Backend, BlockNode, Chardev, ChardevBackend, Drive, IntoChardev, IntoNetdev, IntoSocketPath, NetBackend,
    ReadOnlyImage, RngBackend, RngRandom, SharedImage,
};
use crate::bus::{Device, HasBus, OnEveryMachine, Virtio};
use crate::device::{ConsolePort, SerialPort};
use crate::kernel::IntoKernel;
use crate::machine::MachineType;
use crate::opts::{Handle, Id, IntoId};

/// A VM of any machine type with a virtio bus, any accelerator, any console: for helper functions, so that nobody has to
/// write `Vm<M, A, C>`. Sealed; [`Vm`] has the same methods, and more.
///
/// ```
/// use qemu_dsl::prelude::*;
///
/// fn add_disks(vm: &mut impl AnyVm, images: &[&str]) {
///     for image in images {
///         let disk = vm.drive(Drive::new(image, Format::Qcow2));
///         vm.add(VirtioBlk::new(disk));
///     }
/// }
///
/// let mut pc = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let mut virt = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
/// virt.kernel(Kernel::new("Image"));
/// add_disks(&mut pc, &["a.qcow2"]);
/// add_disks(&mut virt, &["a.qcow2", "b.qcow2"]);
/// assert!(virt.build().unwrap().to_string().contains("virtio-blk-device,drive=drive1"));
/// ```
pub trait AnyVm: sealed::Sealed {
    /// Adds a disk image, for one block device.
    fn drive(&mut self, drive: Drive<'_>) -> BlockNode;

    /// Adds a disk image that nobody writes, for any number of block devices.
    fn shared_image(&mut self, image: ReadOnlyImage<'_>) -> SharedImage;

    /// Adds a character device, for one port.
    fn chardev<B: ChardevBackend>(&mut self, backend: B) -> Chardev;

    /// Adds a character device that four front ends can share.
    fn mux_chardev<B: ChardevBackend>(&mut self, backend: B) -> [Chardev; 4];

    /// Adds a network back end, for one network device.
    fn netdev<'n>(&mut self, netdev: impl IntoNetdev<'n>) -> NetBackend;

    /// Adds a source of random numbers, for one random number generator.
    fn rng_backend(&mut self, backend: RngRandom<'_>) -> RngBackend;

    /// Adds a back end of any kind.
    fn backend<B: Backend>(&mut self, backend: B) -> B::Handle;

    /// Adds a back end of any kind with an id of your own.
    fn backend_as<B: Backend>(&mut self, id: impl IntoId, backend: B) -> B::Handle;

    /// Adds a virtio device, on the machine's own transport, or a channel.
    fn add<D: Device<Bus: OnEveryMachine>>(&mut self, device: D) -> &mut Self;

    /// The same with an id of your own.
    fn add_as<D: Device<Bus: OnEveryMachine>>(&mut self, id: impl IntoId, device: D) -> &mut Self;

    /// Adds devices of one kind: none, one or many.
    fn add_all<D: Device<Bus: OnEveryMachine>>(&mut self, devices: impl IntoIterator<Item = D>) -> &mut Self;

    /// Adds a virtio-serial controller, and returns its ports.
    fn virtio_serial<const N: usize>(&mut self) -> (ConsolePort, [SerialPort; N]);

    /// The same with a number of ports that is known at run time.
    fn virtio_serial_ports(&mut self, ports: usize) -> (ConsolePort, Vec<SerialPort>);

    /// Keeps a part that no device has yet.
    fn spare(&mut self, part: impl Handle) -> Id;

    /// The guest kernel, in the place of an earlier one.
    fn kernel<'k>(&mut self, kernel: impl IntoKernel<'k>) -> &mut Self;

    /// The number of CPUs, in the place of an earlier one.
    fn smp(&mut self, smp: impl IntoSmp) -> &mut Self;

    /// The VM's name, in the place of an earlier one.
    fn name(&mut self, name: impl AsRef<OsStr>) -> &mut Self;

    /// Ends QEMU when the guest reboots.
    fn no_reboot(&mut self) -> &mut Self;

    /// Restricts QEMU's own system calls.
    fn sandbox(&mut self, seccomp: crate::seccomp::Seccomp) -> &mut Self;

    /// Listens for QMP clients on a Unix socket.
    fn qmp<'p>(&mut self, path: impl IntoSocketPath<'p>) -> &mut Self;

    /// Speaks QMP on a character device.
    fn qmp_on(&mut self, chardev: impl IntoChardev) -> &mut Self;

    /// Adds an argument that this crate does not know, as it is.
    fn raw_arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self;
}

/// The methods of [`AnyVm`] are those of [`Vm`].
macro_rules! forward {
    ($($name:ident [$($generics:tt)*] ($($arg:ident: $ty:ty),*) -> $returns:ty;)* @chained
     $($chained:ident [$($more:tt)*] ($($value:ident: $of:ty),*);)*) => {
        $(fn $name<$($generics)*>(&mut self, $($arg: $ty),*) -> $returns {
            Self::$name(self, $($arg),*)
        })*
        $(fn $chained<$($more)*>(&mut self, $($value: $of),*) -> &mut Self {
            Self::$chained(self, $($value),*)
        })*
    };
}

impl<M: HasBus<Virtio>, A: Accelerator, C: Console> AnyVm for Vm<M, A, C> {
    forward! {
        drive [] (drive: Drive<'_>) -> BlockNode;
        shared_image [] (image: ReadOnlyImage<'_>) -> SharedImage;
        chardev [B: ChardevBackend] (backend: B) -> Chardev;
        mux_chardev [B: ChardevBackend] (backend: B) -> [Chardev; 4];
        netdev ['n] (netdev: impl IntoNetdev<'n>) -> NetBackend;
        rng_backend [] (backend: RngRandom<'_>) -> RngBackend;
        backend [B: Backend] (backend: B) -> B::Handle;
        backend_as [B: Backend] (id: impl IntoId, backend: B) -> B::Handle;
        virtio_serial [const N: usize] () -> (ConsolePort, [SerialPort; N]);
        virtio_serial_ports [] (ports: usize) -> (ConsolePort, Vec<SerialPort>);
        spare [] (part: impl Handle) -> Id;
        @chained
        kernel ['k] (kernel: impl IntoKernel<'k>);
        smp [] (smp: impl IntoSmp);
        name [] (name: impl AsRef<OsStr>);
        no_reboot [] ();
        sandbox [] (seccomp: crate::seccomp::Seccomp);
        qmp ['p] (path: impl IntoSocketPath<'p>);
        qmp_on [] (chardev: impl IntoChardev);
        raw_arg [] (arg: impl AsRef<OsStr>);
    }

    fn add<D: Device<Bus: OnEveryMachine>>(&mut self, device: D) -> &mut Self {
        self.add_device(None, &device);
        self
    }

    fn add_as<D: Device<Bus: OnEveryMachine>>(&mut self, id: impl IntoId, device: D) -> &mut Self {
        self.add_device(Some(id.into_id()), &device);
        self
    }

    fn add_all<D: Device<Bus: OnEveryMachine>>(&mut self, devices: impl IntoIterator<Item = D>) -> &mut Self {
        for device in devices {
            self.add_device(None, &device);
        }
        self
    }
}

mod sealed {
    use super::{MachineType, Vm};

    pub trait Sealed {}
    impl<M: MachineType, A, C> Sealed for Vm<M, A, C> {}
}
