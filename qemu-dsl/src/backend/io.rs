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

/// The cache, and whether it has to be a direct one.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheOfAio {
    pub(super) cache: Cache,
    pub(super) native: bool,
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

/// A limit of the throughput. (`THROTTLE_VALUE_MAX`, include/qemu/throttle.h)
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(pub(super) u64);

impl Limit {
    const MAX: u64 = 1_000_000_000_000_000;
}

impl OptValue for Limit {
    const TYPE: OptType = OptType::Integer;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        match self.0 {
            0..=Self::MAX => value.integer(self.0),
            limit => value.refuse(format!("a limit of {limit} is more than QEMU counts to: choose 0 to {}", Self::MAX)),
        }
    }
}

/// A limit for bursts, and the limit that it is for. (`throttle_is_valid`, util/throttle.c)
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    pub(super) max: u64,
    pub(super) limit: Option<u64>,
}

impl Burst {
    pub(super) fn over(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

impl OptValue for Burst {
    const TYPE: OptType = OptType::Integer;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        match self.limit {
            None | Some(0) => value.refuse("a limit for bursts needs the limit itself: set both"),
            Some(limit) if self.max < limit => {
                value.refuse(format!("a burst of {} is below the limit of {limit}: raise it", self.max));
            }
            Some(_) => Limit(self.max).write_value(value),
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
