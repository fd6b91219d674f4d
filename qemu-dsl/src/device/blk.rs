use super::{DiskSerial, IntoDiskSerial};
use crate::backend::{BlockNode, IoThread};
use crate::opts::QemuOpts;
use crate::setters::setters;

/// A virtio block device: `virtio-blk`. Linux calls the first one `/dev/vda`.
///
/// ```
/// use qemu_dsl::prelude::*;
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let disk = vm.drive(Drive::new("root.qcow2", Format::Qcow2));
/// let iothread = vm.iothread();
/// vm.add(VirtioBlk::new(disk).iothread(iothread).queue_size(128));
/// assert!(vm.build().unwrap().to_string().contains("virtio-blk-pci,drive=drive0,iothread=iothread0,queue-size=128"));
/// ```
#[derive(QemuOpts, Debug)]
#[qemu(device = "virtio-blk", virtio, write_only)]
pub struct VirtioBlk {
    /// The disk image.
    drive: BlockNode,
    /// The thread that does the I/O.
    iothread: Option<IoThread>,
    /// How many queues; the guest uses one a CPU at most.
    num_queues: Option<u16>,
    /// Requests in a queue, a power of two: 2 to 1024.
    queue_size: Option<u16>,
    /// The serial number that the guest sees, at most 20 bytes.
    serial: Option<DiskSerial>,
    /// The place in the firmware's boot order, from 0.
    bootindex: Option<u32>,
}

impl VirtioBlk {
    /// A block device on `drive`.
    pub const fn new(drive: BlockNode) -> Self {
        Self { drive, iothread: None, num_queues: None, queue_size: None, serial: None, bootindex: None }
    }
}

impl VirtioBlk {
    /// The serial number that the guest sees.
    #[must_use]
    pub fn serial(mut self, serial: impl IntoDiskSerial) -> Self {
        self.serial = Some(serial.into_disk_serial());
        self
    }
}

setters! { VirtioBlk {
    /// The thread that does the I/O.
    iothread: IoThread,
    /// How many queues; the guest uses one a CPU at most.
    num_queues: u16,
    /// Requests in a queue, a power of two: 2 to 1024.
    queue_size: u16,
    /// The place in the firmware's boot order, from 0.
    bootindex: u32,
} }
