use super::{IntoMacAddress, MacAddress};
use crate::backend::{IntoNetBackend, NetBackend};
use crate::opts::QemuOpts;

/// A virtio network device: `virtio-net`.
///
/// ```
/// use qemu_dsl::prelude::*;
/// let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
/// vm.kernel(Kernel::new("Image"));
/// let net = vm.netdev(UserNetdev::new());
/// vm.add(VirtioNet::new(net).mq(false));
/// assert!(vm.build().unwrap().to_string().contains("virtio-net-device,netdev=netdev0,mq=off"));
/// ```
#[derive(QemuOpts, Debug)]
#[qemu(device = "virtio-net", virtio, build = "A network device on `netdev`.")]
pub struct VirtioNet {
    /// The network back end.
    #[qemu(with = |netdev: impl IntoNetBackend| netdev.into_net_backend())]
    netdev: NetBackend,
    /// The MAC address; without one QEMU counts up from `52:54:00:12:34:56`.
    ///
    /// ```
    /// use qemu_dsl::device::{MacAddress, VirtioNet};
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    /// let net = vm.netdev(UserNetdev::new());
    /// vm.add(VirtioNet::new(net).mac(MacAddress::parse("52:54:00:00:00:01")?));
    /// assert!(vm.build()?.to_string().contains("virtio-net-pci,netdev=netdev0,mac=52:54:00:00:00:01"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[qemu(with = |mac: impl IntoMacAddress| mac.into_mac_address())]
    mac: Option<MacAddress>,
    /// More than one pair of queues.
    mq: Option<bool>,
    /// Checksums are left to the host.
    csum: Option<bool>,
    /// Segmentation is left to the host.
    gso: Option<bool>,
    /// Large IPv4 segments from the host.
    #[qemu(rename = "host_tso4")]
    host_tso4: Option<bool>,
    /// Large IPv6 segments from the host.
    #[qemu(rename = "host_tso6")]
    host_tso6: Option<bool>,
    /// Receive buffers that can be merged.
    #[qemu(rename = "mrg_rxbuf")]
    mrg_rxbuf: Option<bool>,
    /// Control of the receive filter.
    #[qemu(rename = "ctrl_rx")]
    ctrl_rx: Option<bool>,
    /// The guest announces itself after a migration.
    #[qemu(rename = "guest_announce")]
    guest_announce: Option<bool>,
}
