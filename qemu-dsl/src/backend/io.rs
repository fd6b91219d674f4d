//! How a disk image is read and written: caches, limits, and what happens on errors.

use crate::accel::IoUring;
use crate::opts::{OptType, OptValue, QemuOpts, ValueWriter};

/// Which caches stand between guest and disk: `cache=`. [`Drive`](super::Drive) has an example.
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
