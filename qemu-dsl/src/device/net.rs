use super::{IntoMacAddress, MacAddress};
use crate::backend::{IntoNetBackend, NetBackend};
use crate::opts::QemuOpts;
use crate::setters::setters;

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
#[qemu(device = "virtio-net", virtio)]
pub struct VirtioNet {
    /// The network back end.
    netdev: NetBackend,
    /// The MAC address.
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

impl VirtioNet {
    /// A network device on `netdev`.
    pub fn new(netdev: impl IntoNetBackend) -> Self {
        Self {
            netdev: netdev.into_net_backend(),
            mac: None,
            mq: None,
            csum: None,
            gso: None,
            host_tso4: None,
            host_tso6: None,
            mrg_rxbuf: None,
            ctrl_rx: None,
            guest_announce: None,
        }
    }
}

impl VirtioNet {
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
    #[must_use]
    pub fn mac(mut self, mac: impl IntoMacAddress) -> Self {
        self.mac = Some(mac.into_mac_address());
        self
    }
}

setters! { VirtioNet {
    /// More than one pair of queues.
    mq: bool,
    /// Checksums are left to the host.
    csum: bool,
    /// Segmentation is left to the host.
    gso: bool,
    /// Large IPv4 segments from the host.
    host_tso4: bool,
    /// Large IPv6 segments from the host.
    host_tso6: bool,
    /// Receive buffers that can be merged.
    mrg_rxbuf: bool,
    /// Control of the receive filter.
    ctrl_rx: bool,
    /// The guest announces itself after a migration.
    guest_announce: bool,
} }
