use super::{DiskSerial, IntoDiskSerial};
use crate::backend::{BlockNode, IntoBlockNode, IoThread};
use crate::opts::{OptType, OptValue, QemuOpts, Unique, ValueWriter};
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
#[qemu(device = "virtio-blk", virtio)]
pub struct VirtioBlk {
    /// The disk image.
    drive: BlockNode,
    /// The thread that does the I/O.
    iothread: Option<IoThread>,
    /// How many queues; the guest uses one a CPU at most.
    num_queues: Option<NumQueues>,
    /// Requests in a queue, a power of two: 4 to 1024.
    queue_size: Option<QueueSize>,
    /// The serial number that the guest sees, at most 20 bytes.
    serial: Option<DiskSerial>,
    /// The place in the firmware's boot order, from 0.
    bootindex: Option<BootIndex>,
}

/// How many queues there are. QEMU refuses 0, and aborts over 1025. (`VIRTIO_QUEUE_MAX`, include/hw/virtio/virtio.h)
#[derive(Debug, Clone, Copy)]
struct NumQueues(u16);

/// How many requests a queue holds. (`virtio_blk_device_realize`, hw/block/virtio-blk.c)
#[derive(Debug, Clone, Copy)]
struct QueueSize(u16);

/// A place in the boot order. (`device_add_bootindex_property`, system/bootdevice.c: an `int32`)
#[derive(Debug, Clone, Copy)]
struct BootIndex(u32);

impl From<u32> for BootIndex {
    fn from(index: u32) -> Self {
        Self(index)
    }
}

impl OptValue for BootIndex {
    const TYPE: OptType = OptType::Integer;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        if self.0 > i32::MAX.unsigned_abs() {
            return value.refuse(format!("there is no place {} in the boot order: choose 0 to {}", self.0, i32::MAX));
        }
        value.claim(Unique::BootIndex(self.0));
        value.integer(self.0);
    }
}

impl From<u16> for NumQueues {
    fn from(number: u16) -> Self {
        Self(number)
    }
}

impl From<u16> for QueueSize {
    fn from(size: u16) -> Self {
        Self(size)
    }
}

impl OptValue for NumQueues {
    const TYPE: OptType = OptType::Integer;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        match self.0 {
            1..=1024 => value.integer(self.0),
            number => value.refuse(format!("{number} queues are not possible: choose 1 to 1024")),
        }
    }
}

impl OptValue for QueueSize {
    const TYPE: OptType = OptType::Integer;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        match self.0 {
            size @ 4..=1024 if size.is_power_of_two() => value.integer(size),
            size => value.refuse(format!("a queue cannot have {size} requests: choose a power of two, 4 to 1024")),
        }
    }
}

impl VirtioBlk {
    /// A block device on `drive`.
    pub fn new(drive: impl IntoBlockNode) -> Self {
        let drive = drive.into_block_node();
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
    /// How many queues: 1 to 1024, of which the guest uses one a CPU at most. Any other number is an error of the VM.
    num_queues: u16,
    /// Requests in a queue: a power of two, 4 to 1024. Any other number is an error of the VM.
    queue_size: u16,
    /// The place in the firmware's boot order, from 0 to `i32::MAX`; no two devices have the same.
    bootindex: u32,
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::{Handle as _, Issued, OptError, Token, to_text};

    #[test]
    fn queues_have_limits() {
        let block = || VirtioBlk::new(BlockNode::from_issued(Issued::for_test(crate::id!("d")), Token::OWN));
        for (device, bad) in [
            (block().num_queues(0), "num-queues"),
            (block().num_queues(1025), "num-queues"),
            (block().queue_size(2), "queue-size"),
            (block().queue_size(100), "queue-size"),
            (block().queue_size(2048), "queue-size"),
        ] {
            let error = to_text(&device).unwrap_err();
            assert!(matches!(error, OptError::Value { ref option, .. } if option == bad), "{error}");
        }
        assert!(to_text(&block().num_queues(1024).queue_size(1024)).is_ok());
        assert!(to_text(&block().num_queues(1).queue_size(4)).is_ok());
    }
}
