//! Disk images: `-drive`.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::backing::Backing;
use super::io::{Aio, Cache, Discard, ErrorPolicy, WriteErrorPolicy, ZeroWrites};
use crate::opts::{
    Handle as _, Id, OptField, OptType, OptValue, OptWriter, PartKind, QemuOpts, Role, Sort, Token, Unique,
    ValueWriter, handle, into_handle,
};

handle! {
    /// A disk image of a VM, for one block device. [`Vm::drive`](crate::Vm::drive) returns it.
    #[must_use = "a drive without a device is not there for the guest: `vm.add(VirtioBlk::new(drive))`"]
    BlockNode, "drive", PartKind {
        flag: "-drive",
        prefix: "drive",
        what: "the drive",
        user: "one block device, such as `VirtioBlk::new(drive)`",
        is_shared: false, sort: Sort::Counted,
    }
}

into_handle! {
    IntoBlockNode, into_block_node, BlockNode, "expected a `BlockNode`",
    "add the disk image to the VM first, and give the device what that returns: `let disk = vm.drive(Drive::new(path, format));`, then `VirtioBlk::new(disk)`"
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
#[qemu(build = "The image at `file`, in `format`.", check = Drive::check)]
pub struct Drive<'a> {
    /// The image file.
    #[qemu(with = |file: &'a (impl AsRef<Path> + ?Sized)| DriveFile::new(file.as_ref()))]
    file: DriveFile<'a>,
    /// The image format. Never guessed: a guest could write another format's header into a raw image.
    #[qemu(with = |format: impl IntoFormat| format.into_format())]
    format: Format,
    /// The interface: always `none`, the device is added by itself.
    #[qemu(rename = "if", default = NoInterface, no_setter)]
    interface: NoInterface,
    /// Which caches stand between guest and disk.
    cache: Option<Cache>,
    /// How the host does the I/O.
    #[qemu(no_setter)]
    aio: Option<Aio>,
    /// What happens to discarded blocks.
    discard: Option<Discard>,
    /// What happens when the guest writes zeros.
    detect_zeroes: Option<ZeroWrites>,
    /// What happens on write errors.
    werror: Option<WriteErrorPolicy>,
    /// What happens on read errors.
    rerror: Option<ErrorPolicy>,
    /// Whether blocks read from the backing file are copied into the image. Not together with [`readonly`](Self::readonly).
    copy_on_read: Option<bool>,
    /// Limit of the throughput, in bytes a second; 0 is no limit. (`THROTTLE_VALUE_MAX`, include/qemu/throttle.h)
    #[qemu(range = 0..=1_000_000_000_000_000_i64)]
    bps: Option<u64>,
    /// Limit of the throughput in a burst, in bytes a second. Below [`bps`](Self::bps), it is an error of the VM.
    #[qemu(rename = "bps_max", range = 0..=1_000_000_000_000_000_i64, needs = "bps")]
    bps_max: Option<u64>,
    /// Limit of the operations a second; 0 is no limit.
    #[qemu(range = 0..=1_000_000_000_000_000_i64)]
    iops: Option<u64>,
    /// Limit of the operations a second in a burst. Below [`iops`](Self::iops), it is an error of the VM.
    #[qemu(rename = "iops_max", range = 0..=1_000_000_000_000_000_i64, needs = "iops")]
    iops_max: Option<u64>,
    /// Whether QEMU locks the image file against a second writer.
    #[qemu(rename = "file.locking")]
    locking: Option<bool>,
    /// Whether the guest may only read.
    #[qemu(no_setter)]
    readonly: Option<bool>,
    /// Which backing file is opened.
    #[qemu(flatten, default = Backing::named(format), no_setter)]
    backing: Backing<'a>,
}

impl<'a> Drive<'a> {
    /// Opens no backing file, whatever the image names: what it does not have itself reads as zeros. For images from strangers,
    /// which would otherwise choose a file of the host's for the guest to read.
    ///
    /// Of an external data file, which an image can name too, this says nothing: [`Image::check`](crate::image) refuses
    /// it. QEMU says on standard error that `backing=` is deprecated in this form; there is no other in an option text.
    ///
    /// ```
    /// use qemu_dsl::backend::{Drive, Format};
    /// let drive = Drive::new("upload.qcow2", Format::Qcow2).standalone();
    /// assert_eq!(qemu_dsl::opts::to_text(&drive)?, b"file=upload.qcow2,format=qcow2,if=none,backing=");
    /// # Ok::<(), qemu_dsl::opts::OptError>(())
    /// ```
    #[must_use]
    pub fn standalone(mut self) -> Self {
        self.backing = self.backing.none();
        self
    }

    /// Opens this backing file, whatever the image names, and none below it. It is opened for reading only.
    ///
    /// ```
    /// use qemu_dsl::backend::{Drive, Format};
    /// let drive = Drive::new("o.qcow2", Format::Qcow2).backed_by("/srv/base.raw", Format::Raw);
    /// assert_eq!(
    ///     String::from_utf8(qemu_dsl::opts::to_text(&drive)?)?,
    ///     "file=o.qcow2,format=qcow2,if=none,backing.driver=raw,backing.file.driver=file,backing.file.filename=/srv/base.raw"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn backed_by(mut self, file: &'a (impl AsRef<Path> + ?Sized), format: Format) -> Self {
        self.backing = self.backing.file(file.as_ref(), format);
        self
    }
}

impl Drive<'_> {
    /// Whether the guest may only read.
    #[must_use]
    pub fn readonly(mut self, readonly: bool) -> Self {
        self.file.readonly = readonly;
        self.readonly = Some(readonly);
        self
    }

    /// How the host does the I/O. [`Aio::Native`] sets the cache too.
    #[must_use]
    pub fn aio(mut self, aio: Aio) -> Self {
        self.aio = Some(aio);
        if let Aio::Native(cache) = aio {
            self.cache = Some(cache.into());
        }
        self
    }

    /// What must hold of several options together.
    fn check(&self, writer: &mut OptWriter<'_>) {
        let is_direct = matches!(self.cache, Some(Cache::None | Cache::Directsync));
        if matches!(self.aio, Some(Aio::Native(_))) && !is_direct {
            writer.refuse(
                "cache",
                "`aio=native` needs a cache that goes past the page cache: use `Cache::None` or `Cache::Directsync`",
            );
        }
        if self.readonly == Some(true) && self.copy_on_read == Some(true) {
            writer.refuse(
                "readonly",
                "blocks cannot be copied into an image that is not written: leave out `copy_on_read(true)`",
            );
        }
        // `throttle_is_valid`, util/throttle.c
        for (key, limit, burst) in [("bps_max", self.bps, self.bps_max), ("iops_max", self.iops, self.iops_max)] {
            match (limit, burst) {
                (Some(0), Some(_)) => writer.refuse(key, "a limit for bursts needs the limit itself: set both"),
                (Some(limit), Some(burst)) if burst < limit => {
                    writer.refuse(key, format!("a burst of {burst} is below the limit of {limit}: raise it"));
                }
                _ => {}
            }
        }
    }
}

handle! {
    /// A read-only disk image that any number of block devices share. [`Vm::shared_image`](crate::Vm::shared_image) returns
    /// it.
    #[must_use = "a shared image without a device is not there for the guest: `vm.add(VirtioBlk::new(image.node()))`"]
    SharedImage [Clone, Copy], "node-name", PartKind {
        flag: "-blockdev",
        prefix: "drive",
        what: "the shared image",
        user: "a block device, such as `VirtioBlk::new(image.node())`",
        is_shared: true, sort: Sort::SharedImage,
    }
}

impl SharedImage {
    /// The image for one block device. [`Vm::shared_image`](crate::Vm::shared_image) has an example.
    pub fn node(self) -> BlockNode {
        BlockNode::from_issued(self.part(Token::OWN), Token::OWN)
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
    backing: Backing<'a>,
}

impl<'a> ReadOnlyImage<'a> {
    /// The most bytes that the name of a block node can have. (`node_name`, include/block/block_int-common.h: 32 with NUL)
    pub const MAX_NODE_NAME: usize = 31;

    /// The image at `file`, in `format`.
    pub fn new(file: &'a (impl AsRef<Path> + ?Sized), format: Format) -> Self {
        Self { file: file.as_ref(), format, backing: Backing::named(format) }
    }

    /// Opens no backing file, whatever the image names. [`Drive::standalone`] tells more.
    #[must_use]
    pub fn standalone(mut self) -> Self {
        self.backing = self.backing.none();
        self
    }

    /// Opens this backing file, whatever the image names. [`Drive::backed_by`] tells more.
    #[must_use]
    pub fn backed_by(mut self, file: &'a (impl AsRef<Path> + ?Sized), format: Format) -> Self {
        self.backing = self.backing.file(file.as_ref(), format);
        self
    }

    pub(crate) fn blockdev(self, node_name: Id) -> Blockdev<'a> {
        let file = FileNode { driver: Protocol::File, filename: ReadOnlyFile(ImagePath(self.file)) };
        Blockdev { driver: self.format, node_name, read_only: true, file, backing: self.backing }
    }
}

/// `-blockdev`. No protocol is guessed here: the driver is named.
#[derive(QemuOpts, Debug, Clone, Copy)]
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
    /// Which backing file is opened.
    #[qemu(flatten)]
    backing: Backing<'a>,
}

#[derive(QemuOpts, Debug, Clone, Copy)]
struct FileNode<'a> {
    /// How the bytes are reached.
    driver: Protocol,
    /// The file.
    filename: ReadOnlyFile<'a>,
}

#[derive(QemuOpts, Debug, Clone, Copy)]
#[qemu(value)]
pub(super) enum Protocol {
    File,
}

/// A file name in the place of a block driver's `filename`, protected from being taken for a protocol.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImagePath<'a>(pub(super) &'a Path);

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

/// The file of a drive.
#[derive(Debug, Clone, Copy)]
struct DriveFile<'a> {
    path: ImagePath<'a>,
    readonly: bool,
}

impl<'a> DriveFile<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path: ImagePath(path), readonly: false }
    }
}

impl OptValue for DriveFile<'_> {
    const TYPE: OptType = OptType::Path;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        let role = if self.readonly { Role::ReadOnlyDisk } else { Role::Disk };
        value.unique(Unique::Path(role), |value| self.path.write_value(value));
    }
}

/// The file of a block node that nobody writes. A driver has been named, so a colon needs no protection.
#[derive(Debug, Clone, Copy)]
struct ReadOnlyFile<'a>(ImagePath<'a>);

impl OptValue for ReadOnlyFile<'_> {
    const TYPE: OptType = OptType::Path;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        let path = self.0.0;
        if path.as_os_str().is_empty() {
            return self.0.write_value(value);
        }
        value.unique(Unique::Path(Role::ReadOnlyDisk), |value| path.write_value(value));
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

    fn write_field(&self, key: &'static str, writer: &mut OptWriter<'_>) {
        "none".write_field(key, writer);
        writer.id();
    }
}

/// The format of a disk image. [`Drive`] has an example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
#[non_exhaustive]
pub enum Format {
    /// QEMU's own format, with overlays and holes.
    ///
    /// An image of this format can name any file of the host's as its backing file or external data file, and QEMU lets the guest read
    /// it. For images that others have made there are [`Drive::standalone`], [`Drive::backed_by`] and
    /// [`Image::check`](crate::image).
    Qcow2,
    /// The blocks and nothing else.
    Raw,
}

/// What can be given where a [`Format`] is wanted: that. The trait is there for its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Format`",
    label = "expected a `Format`",
    note = "write `Format::Raw` or `Format::Qcow2`: a format is never guessed, for a guest could write another one's header into a raw image"
)]
pub trait IntoFormat {
    #[doc(hidden)]
    fn into_format(self) -> Format;
}

#[diagnostic::do_not_recommend]
impl IntoFormat for Format {
    fn into_format(self) -> Format {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::DirectCache;
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
    fn backing_files_are_the_hosts_to_choose() {
        let drive = |format| Drive::new("a", format);
        let text = |drive: Drive<'_>| String::from_utf8(to_text(&drive).unwrap()).unwrap();
        assert_eq!(text(drive(Format::Raw).standalone()), "file=a,format=raw,if=none", "it names nothing");
        assert_eq!(
            text(drive(Format::Qcow2).standalone().backed_by("nbd:x,y", Format::Qcow2)),
            "file=a,format=qcow2,if=none,backing.driver=qcow2,backing.file.driver=file,backing.file.filename=./nbd:x,,y,\
             backing.backing="
        );
        assert_eq!(
            text(drive(Format::Qcow2).backed_by("b", Format::Raw).standalone()),
            "file=a,format=qcow2,if=none,backing="
        );
        for wrong in [drive(Format::Raw).backed_by("b", Format::Raw), drive(Format::Qcow2).backed_by("", Format::Raw)] {
            assert!(matches!(to_text(&wrong), Err(OptError::Value { .. })), "{wrong:?}");
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
