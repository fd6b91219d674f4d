use super::{DiskSerial, IntoDiskSerial};
use crate::backend::{BlockNode, IntoBlockNode, IoThread};
use crate::opts::{OptType, OptValue, QemuOpts, Unique, ValueWriter};

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
#[qemu(device = "virtio-blk", virtio, build = "A block device on `drive`.")]
pub struct VirtioBlk {
    /// The disk image.
    #[qemu(with = |drive: impl IntoBlockNode| drive.into_block_node())]
    drive: BlockNode,
    /// The thread that does the I/O.
    iothread: Option<IoThread>,
    /// How many queues; the guest uses one a CPU at most. (`VIRTIO_QUEUE_MAX`, include/hw/virtio/virtio.h: QEMU aborts over 1025)
    #[qemu(range = 1..=1024)]
    num_queues: Option<u16>,
    /// How many requests a queue holds. (`virtio_blk_device_realize`, hw/block/virtio-blk.c)
    #[qemu(range = 4..=1024, power_of_two)]
    queue_size: Option<u16>,
    /// The serial number that the guest sees.
    #[qemu(with = |serial: impl IntoDiskSerial| serial.into_disk_serial())]
    serial: Option<DiskSerial>,
    /// The place in the firmware's boot order, from 0; no two devices have the same.
    #[qemu(range = 0..=i32::MAX, with = |bootindex: u32| BootIndex(bootindex))]
    bootindex: Option<BootIndex>,
}

/// A place in the boot order. (`device_add_bootindex_property`, system/bootdevice.c: an `int32`)
#[derive(Debug, Clone, Copy)]
struct BootIndex(u32);

impl OptValue for BootIndex {
    const TYPE: OptType = OptType::Integer;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.claim(Unique::BootIndex(self.0));
        value.integer(self.0);
    }
}

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
