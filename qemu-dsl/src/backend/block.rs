//! Disk images: `-drive`.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::accel::IoUring;
use crate::opts::{Handle as _, Id, Key, OptField, OptType, OptValue, OptWriter, QemuOpts, ValueWriter, handle};
use crate::setters::setters;

handle! {
    /// A disk image of a VM, for one block device. [`Vm::drive`](crate::Vm::drive) returns it.
    BlockNode, "drive"
}

/// A disk image: `-drive if=none`. (QEMU documentation, "Invocation", `-drive`)
///
/// The path may hold any byte but NUL. QEMU would take `nbd:...` or `json:...` for more than a file name, so a relative path
/// with a colon is written with `./` before it.
///
/// ```
/// use qemu_dsl::backend::{Cache, Drive, Format};
/// use qemu_dsl::opts;
/// let drive = Drive::new("nbd:x,y", Format::Raw).cache(Cache::Unsafe);
/// assert_eq!(opts::to_text(&drive)?, b"file=./nbd:x,,y,format=raw,if=none,cache=unsafe");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone)]
#[qemu(write_only)]
pub struct Drive<'a> {
    /// The image file.
    file: ImagePath<'a>,
    /// The image format. Never guessed: a guest could write another format's header into a raw image.
    format: Format,
    /// The interface: always `none`, the device is added by itself.
    #[qemu(rename = "if")]
    interface: NoInterface,
    /// Which caches stand between guest and disk.
    cache: Option<CacheOfAio>,
    /// How the host does the I/O.
    aio: Option<Aio>,
    /// What happens to discarded blocks.
    discard: Option<Discard>,
    /// What happens when the guest writes zeros.
    detect_zeroes: Option<ZeroWrites>,
    /// What happens on write errors.
    werror: Option<WriteErrorPolicy>,
    /// What happens on read errors.
    rerror: Option<ErrorPolicy>,
    /// Whether blocks read from the backing file are copied into the image.
    copy_on_read: Option<bool>,
    /// Limit of the throughput, in bytes a second.
    bps: Option<u64>,
    /// Limit of the throughput in a burst, in bytes a second.
    #[qemu(rename = "bps_max")]
    bps_max: Option<Burst>,
    /// Limit of the operations a second.
    iops: Option<u64>,
    /// Limit of the operations a second in a burst.
    #[qemu(rename = "iops_max")]
    iops_max: Option<Burst>,
    /// Whether QEMU locks the image file.
    #[qemu(rename = "file.locking")]
    locking: Option<bool>,
    /// Whether the guest may only read.
    readonly: Option<bool>,
}

impl<'a> Drive<'a> {
    /// The image at `file`, in `format`.
    pub fn new(file: &'a (impl AsRef<Path> + ?Sized), format: Format) -> Self {
        Self {
            file: ImagePath(file.as_ref()),
            format,
            interface: NoInterface,
            cache: None,
            aio: None,
            discard: None,
            detect_zeroes: None,
            werror: None,
            rerror: None,
            copy_on_read: None,
            bps: None,
            bps_max: None,
            iops: None,
            iops_max: None,
            locking: None,
            readonly: None,
        }
    }
}

impl Drive<'_> {
    /// Limit of the throughput, in bytes a second.
    #[must_use]
    pub fn bps(mut self, bps: u64) -> Self {
        self.bps = Some(bps);
        self.bps_max = self.bps_max.map(|burst| burst.over(bps));
        self
    }

    /// Limit of the throughput in a burst, in bytes a second. Without [`bps`](Self::bps), or below it, it is an error of the VM.
    #[must_use]
    pub fn bps_max(mut self, bps_max: u64) -> Self {
        self.bps_max = Some(Burst { max: bps_max, limit: self.bps });
        self
    }

    /// Limit of the operations a second.
    #[must_use]
    pub fn iops(mut self, iops: u64) -> Self {
        self.iops = Some(iops);
        self.iops_max = self.iops_max.map(|burst| burst.over(iops));
        self
    }

    /// Limit of the operations a second in a burst. Without [`iops`](Self::iops), or below it, it is an error of the VM.
    #[must_use]
    pub fn iops_max(mut self, iops_max: u64) -> Self {
        self.iops_max = Some(Burst { max: iops_max, limit: self.iops });
        self
    }

    /// Which caches stand between guest and disk.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        let native = matches!(self.aio, Some(Aio::Native(_)));
        self.cache = Some(CacheOfAio { cache, native });
        self
    }

    /// How the host does the I/O. [`Aio::Native`] sets the cache too.
    #[must_use]
    pub fn aio(mut self, aio: Aio) -> Self {
        self.aio = Some(aio);
        match (aio, &mut self.cache) {
            (Aio::Native(cache), _) => self.cache = Some(CacheOfAio { cache: cache.into(), native: true }),
            (_, Some(cache)) => cache.native = false,
            (_, None) => {}
        }
        self
    }
}

setters! { @['a] Drive<'a> {
    /// What happens to discarded blocks.
    discard: Discard,
    /// What happens when the guest writes zeros.
    detect_zeroes: ZeroWrites,
    /// What happens on write errors.
    werror: WriteErrorPolicy,
    /// What happens on read errors.
    rerror: ErrorPolicy,
    /// Whether blocks read from the backing file are copied into the image.
    copy_on_read: bool,
    /// Whether QEMU locks the image file against a second writer.
    locking: bool,
    /// Whether the guest may only read.
    readonly: bool,
} }

handle! {
    /// A read-only disk image that any number of block devices share. [`Vm::shared_image`](crate::Vm::shared_image) returns
    /// it.
    SharedImage, "node-name", Clone, Copy
}

impl SharedImage {
    /// The image for one block device. [`Vm::shared_image`](crate::Vm::shared_image) has an example.
    #[must_use]
    pub fn node(self) -> BlockNode {
        BlockNode::issued(self.id(), self.vm())
    }
}

/// A disk image that nobody writes: `-blockdev` with `read-only=on`. Several block devices can share it, which a [`Drive`]
/// cannot be. (QEMU documentation, "Invocation", `-blockdev`)
///
/// [`Vm::shared_image`](crate::Vm::shared_image) adds it; there is an example.
#[derive(Debug, Clone, Copy)]
pub struct ReadOnlyImage<'a> {
    file: &'a Path,
    format: Format,
}

impl<'a> ReadOnlyImage<'a> {
    /// The most bytes that the name of a block node can have. (`node_name`, include/block/block_int-common.h: 32 with NUL)
    pub const MAX_NODE_NAME: usize = 31;

    /// The image at `file`, in `format`.
    pub fn new(file: &'a (impl AsRef<Path> + ?Sized), format: Format) -> Self {
        Self { file: file.as_ref(), format }
    }

    pub(crate) fn blockdev(self, node_name: Id) -> Blockdev<'a> {
        let file = FileNode { driver: Protocol::File, filename: self.file };
        Blockdev { driver: self.format, node_name, read_only: true, file }
    }
}

/// `-blockdev`. No protocol is guessed here: the driver is named.
#[derive(QemuOpts, Debug, Clone, Copy)]
#[qemu(write_only)]
pub(crate) struct Blockdev<'a> {
    /// The image format.
    driver: Format,
    /// The name by which devices and QMP clients find it.
    node_name: Id,
    /// Nobody writes.
    read_only: bool,
    /// Where the bytes are.
    #[qemu(flatten, prefix = "file.")]
    file: FileNode<'a>,
}

#[derive(QemuOpts, Debug, Clone, Copy)]
#[qemu(write_only)]
struct FileNode<'a> {
    /// How the bytes are reached.
    driver: Protocol,
    /// The file.
    filename: &'a Path,
}

#[derive(QemuOpts, Debug, Clone, Copy)]
#[qemu(value)]
enum Protocol {
    File,
}

/// A file name in the place of a block driver's `filename`, protected from being taken for a protocol.
#[derive(Debug, Clone, Copy)]
struct ImagePath<'a>(&'a Path);

impl OptValue for ImagePath<'_> {
    const TYPE: OptType = OptType::Path;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        let path = self.0.as_os_str().as_bytes();
        if path.is_empty() {
            return value.refuse("a disk image needs a path, and this one is empty");
        }
        value.text(&*file_name(path));
    }
}

/// `path`, with `./` before it where QEMU's `path_has_protocol` (block.c) would find a protocol: a colon before the first
/// slash.
fn file_name(path: &[u8]) -> Cow<'_, [u8]> {
    match path.iter().find(|&&byte| byte == b':' || byte == b'/') {
        Some(b':') => Cow::Owned([b"./", path].concat()),
        _ => Cow::Borrowed(path),
    }
}

/// `if=none`, and behind it the drive's id, where people look for it.
#[derive(Debug, Clone, Copy)]
struct NoInterface;

impl OptField for NoInterface {
    const TYPE: OptType = OptType::OneOf(&["none"]);

    fn write_field(&self, key: &Key, writer: &mut OptWriter<'_>) {
        writer.option(key, "none");
        writer.id();
    }
}

/// The format of a disk image. [`Drive`] has an example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
#[non_exhaustive]
pub enum Format {
    /// QEMU's own format, with overlays and holes.
    Qcow2,
    /// The blocks and nothing else.
    Raw,
}

/// Which caches stand between guest and disk: `cache=`. [`Drive`] has an example.
///
/// The host's page cache can be lost when the *host* fails; QEMU's own end loses nothing in any mode.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
pub enum Cache {
    /// Page cache; flushes of the guest reach the disk.
    Writeback,
    /// Page cache for reading only.
    Writethrough,
    /// No page cache (`O_DIRECT`); flushes of the guest reach the disk.
    None,
    /// No page cache, every write reaches the disk before it is done.
    Directsync,
    /// Page cache; flushes are ignored. For images that are thrown away.
    Unsafe,
}

/// A cache that goes past the host's page cache (`O_DIRECT`): what [`Aio::Native`] needs. [`Aio`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectCache {
    /// [`Cache::None`].
    None,
    /// [`Cache::Directsync`].
    Directsync,
}

impl From<DirectCache> for Cache {
    fn from(cache: DirectCache) -> Self {
        match cache {
            DirectCache::None => Self::None,
            DirectCache::Directsync => Self::Directsync,
        }
    }
}

/// The cache, and whether it has to be a direct one.
#[derive(Debug, Clone, Copy)]
struct CacheOfAio {
    cache: Cache,
    native: bool,
}

impl OptValue for CacheOfAio {
    const TYPE: OptType = <Cache as OptValue>::TYPE;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        if self.native && !matches!(self.cache, Cache::None | Cache::Directsync) {
            return value.refuse(
                "`aio=native` needs a cache that goes past the page cache: use `Cache::None` or `Cache::Directsync`",
            );
        }
        self.cache.write_value(value);
    }
}

/// A limit for bursts, and the limit that it is for. (`throttle_is_valid`, util/throttle.c)
#[derive(Debug, Clone, Copy)]
struct Burst {
    max: u64,
    limit: Option<u64>,
}

impl Burst {
    fn over(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

impl OptValue for Burst {
    const TYPE: OptType = OptType::Integer;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        match self.limit {
            None => value.refuse("a limit for bursts needs the limit itself: set both"),
            Some(limit) if self.max < limit => {
                value.refuse(format!("a burst of {} is below the limit of {limit}: raise it", self.max));
            }
            Some(_) => value.integer(self.max),
        }
    }
}

/// How the host does the I/O: `aio=`.
///
/// ```
/// use qemu_dsl::HostFacts;
/// use qemu_dsl::backend::{Aio, Drive, Format};
///
/// let aio = HostFacts::example().io_uring().map_or(Aio::Threads, Aio::IoUring);
/// let drive = Drive::new("root.qcow2", Format::Qcow2).aio(aio);
///
/// use qemu_dsl::backend::DirectCache;
/// let native = Drive::new("root.raw", Format::Raw).aio(Aio::Native(DirectCache::None));
/// assert_eq!(qemu_dsl::opts::to_text(&native).unwrap(), b"file=root.raw,format=raw,if=none,cache=none,aio=native");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aio {
    /// A pool of threads. Works everywhere.
    Threads,
    /// `io_uring`, which needs the proof that kernel and binary have it: QEMU fails late without.
    IoUring(IoUring),
    /// Linux AIO, which needs a cache that goes past the page cache: QEMU refuses any other.
    Native(DirectCache),
}

impl OptValue for Aio {
    const TYPE: OptType = OptType::OneOf(&["threads", "io_uring", "native"]);

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.text(match self {
            Self::Threads => "threads",
            Self::IoUring(_) => "io_uring",
            Self::Native(_) => "native",
        });
    }
}

/// What happens to blocks that the guest discards: `discard=`. [`Cache`] stands for these small enums: used in the same way,
/// so this one has no example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
pub enum Discard {
    /// Nothing.
    Ignore,
    /// They are freed in the image and on the host's disk.
    Unmap,
}

/// What happens when the guest writes zeros: `detect-zeroes=`. Used like [`Cache`], so it has no example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
pub enum ZeroWrites {
    /// They are written.
    Off,
    /// They are written as zeros in a more efficient way.
    On,
    /// They are discarded, where `discard=unmap` allows it.
    Unmap,
}

/// What happens on read errors: `rerror=`. Used like [`Cache`], so it has no example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
pub enum ErrorPolicy {
    /// The guest goes on as if nothing was.
    Ignore,
    /// The VM stops.
    Stop,
    /// The guest gets the error.
    Report,
}

/// What happens on write errors: `werror=`. Used like [`Cache`], so it has no example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
pub enum WriteErrorPolicy {
    /// The guest goes on as if nothing was.
    Ignore,
    /// The VM stops.
    Stop,
    /// The guest gets the error.
    Report,
    /// The VM stops when the host's disk is full; other errors reach the guest.
    Enospc,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::{OptError, to_text};

    #[test]
    fn a_file_name_is_never_a_protocol() {
        for (path, expected) in [
            ("/a:b", "/a:b"),
            ("a/b:c", "a/b:c"),
            ("./nbd:x", "./nbd:x"),
            ("nbd:x", "./nbd:x"),
            ("json:{\"driver\":\"nbd\"}", "./json:{\"driver\":\"nbd\"}"),
            ("fat:/etc", "./fat:/etc"),
            (":", "./:"),
        ] {
            assert_eq!(file_name(path.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn an_empty_path_is_refused() {
        let error = to_text(&Drive::new("", Format::Raw)).unwrap_err();
        assert!(matches!(error, OptError::Value { ref option, .. } if option == "file"), "{error}");
    }

    #[test]
    fn native_aio_has_a_direct_cache() {
        let native = || Drive::new("a", Format::Raw).aio(Aio::Native(DirectCache::Directsync));
        assert_eq!(to_text(&native()).unwrap(), b"file=a,format=raw,if=none,cache=directsync,aio=native");
        assert_eq!(to_text(&native().cache(Cache::None)).unwrap(), b"file=a,format=raw,if=none,cache=none,aio=native");
        let error = to_text(&native().cache(Cache::Unsafe)).unwrap_err();
        assert!(matches!(error, OptError::Value { ref option, .. } if option == "cache"), "{error}");
        assert!(to_text(&native().cache(Cache::Unsafe).aio(Aio::Threads)).is_ok());
    }

    #[test]
    fn bursts_need_a_limit_and_are_above_it() {
        let drive = || Drive::new("a", Format::Raw);
        for drive in [
            drive().bps_max(1),
            drive().iops_max(1),
            drive().iops(1).bps_max(1),
            drive().bps(2).bps_max(1),
            drive().iops_max(1).iops(2),
        ] {
            assert!(matches!(to_text(&drive), Err(OptError::Value { .. })), "{drive:?}");
        }
        for drive in [drive().bps_max(2).bps(1), drive().bps(1).bps_max(1), drive().iops(1).iops_max(2)] {
            assert!(to_text(&drive).is_ok(), "{drive:?}");
        }
    }

    #[test]
    fn all_options_in_order() {
        let drive = Drive::new("/o.qcow2", Format::Qcow2)
            .cache(Cache::Unsafe)
            .aio(Aio::Threads)
            .discard(Discard::Unmap)
            .detect_zeroes(ZeroWrites::Unmap)
            .werror(WriteErrorPolicy::Report)
            .rerror(ErrorPolicy::Report)
            .copy_on_read(false)
            .bps(1)
            .bps_max(2)
            .iops(3)
            .iops_max(4)
            .locking(false)
            .readonly(true);
        assert_eq!(
            String::from_utf8(to_text(&drive).unwrap()).unwrap(),
            "file=/o.qcow2,format=qcow2,if=none,cache=unsafe,aio=threads,discard=unmap,detect-zeroes=unmap,werror=report,\
             rerror=report,copy-on-read=off,bps=1,bps_max=2,iops=3,iops_max=4,file.locking=off,readonly=on"
        );
    }
}
