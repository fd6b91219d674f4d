//! [`AnyVm`]: what every VM can do.

use super::builder::Vm;
use super::console::Console;
use super::size::Smp;
use crate::accel::Accelerator;
use crate::backend::{BlockNode, Chardev, ChardevBackend, Drive, NetBackend, Netdev};
use crate::bus::{HasBus, Virtio};
use crate::device::Device;
use crate::machine::MachineType;

/// A VM of any machine type with a virtio bus, any accelerator, any console: for helper functions, so that nobody has to
/// write `Vm<M, A, C>`. Sealed; [`Vm`] has the same methods, and more.
///
/// ```
/// use qemu_dsl::prelude::*;
///
/// fn add_disks(vm: &mut impl AnyVm, images: &[&str]) {
///     for image in images {
///         let disk = vm.drive(Drive::new(image, Format::Qcow2));
///         vm.add_virtio(VirtioBlk::new(disk));
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

    /// Adds a character device, for one port.
    fn chardev<B: ChardevBackend>(&mut self, backend: B) -> Chardev;

    /// Adds a network back end, for one network device.
    fn netdev<'n>(&mut self, netdev: impl Into<Netdev<'n>>) -> NetBackend;

    /// Adds a virtio device, on the machine's own transport.
    fn add_virtio<D: Device<Bus = Virtio>>(&mut self, device: D);

    /// Sets the number of CPUs.
    fn smp(&mut self, smp: Smp);
}

impl<M: HasBus<Virtio>, A: Accelerator, C: Console> AnyVm for Vm<M, A, C> {
    fn drive(&mut self, drive: Drive<'_>) -> BlockNode {
        Self::drive(self, drive)
    }

    fn chardev<B: ChardevBackend>(&mut self, backend: B) -> Chardev {
        Self::chardev(self, backend)
    }

    fn netdev<'n>(&mut self, netdev: impl Into<Netdev<'n>>) -> NetBackend {
        Self::netdev(self, netdev)
    }

    fn add_virtio<D: Device<Bus = Virtio>>(&mut self, device: D) {
        self.add(device);
    }

    fn smp(&mut self, smp: Smp) {
        Self::smp(self, smp);
    }
}

mod sealed {
    use super::{MachineType, Vm};

    pub trait Sealed {}
    impl<M: MachineType, A, C> Sealed for Vm<M, A, C> {}
}
