//! Virtio devices on a transport that is chosen by hand.

use super::Device;
use crate::bus::{Pci, Virtio, VirtioMmio};
use crate::opts::{OptWriter, QemuOpts, Schema, Transport};

macro_rules! transports {
    ($($(#[$meta:meta])* $name:ident: $bus:ty, $transport:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name<D>(
            /// The device.
            pub D,
        );

        impl<D: QemuOpts> QemuOpts for $name<D> {
            const SCHEMA: &'static Schema = D::SCHEMA;

            fn write_opts(&self, writer: &mut OptWriter<'_>) {
                writer.with_transport(Transport::$transport, |writer| self.0.write_opts(writer));
            }
        }

        #[diagnostic::do_not_recommend]
        impl<D: Device<Bus = Virtio>> Device for $name<D> {
            type Bus = $bus;
            const NAME: &'static str = D::NAME;
            const SINGLE: bool = D::SINGLE;
        }
    )*};
}

transports! {
    /// A virtio device as a PCI device, on machine types that have other transports too.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(VirtPcie::new(), Tcg::new(), CortexA57::new(), mib!(64));
    /// vm.kernel(Kernel::new("Image"));
    /// vm.add(OnPci(VirtioBalloon::new()));
    /// assert!(vm.build().unwrap().to_string().contains("-device virtio-balloon-pci"));
    /// ```
    OnPci: Pci, Pci;
    /// A virtio device on a virtio-mmio transport, on machine types that have other transports too.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(VirtPcie::new(), Tcg::new(), CortexA57::new(), mib!(64));
    /// vm.kernel(Kernel::new("Image"));
    /// vm.add(OnMmio(VirtioBalloon::new()));
    /// assert!(vm.build().unwrap().to_string().contains("-device virtio-balloon-device"));
    /// ```
    OnMmio: VirtioMmio, Mmio;
}
