//! Objects: `-object`.

use std::path::Path;

use crate::opts::{QemuOpts, handle};

handle! {
    /// An I/O thread of a VM, for any number of block devices. [`Vm::iothread`](crate::Vm::iothread) returns it.
    IoThread, "iothread", Clone, Copy
}

handle! {
    /// A source of random numbers of a VM, for one device. [`Vm::rng_backend`](crate::Vm::rng_backend) returns it.
    RngBackend, "rng"
}

/// `-object iothread`. It has no options that anybody needs; [`Vm::iothread`](crate::Vm::iothread) adds it.
#[derive(QemuOpts, Debug, Clone, Copy)]
#[qemu(implied = "iothread")]
pub(crate) struct IoThreadObject {}

/// Random numbers from a file of the host: `-object rng-random`.
///
/// ```
/// use qemu_dsl::backend::RngRandom;
/// use qemu_dsl::opts;
/// assert_eq!(opts::to_text(&RngRandom::urandom())?, b"rng-random,filename=/dev/urandom");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy)]
#[qemu(implied = "rng-random", write_only)]
pub struct RngRandom<'a> {
    /// The file.
    filename: &'a Path,
}

impl<'a> RngRandom<'a> {
    /// The kernel's `/dev/urandom`.
    pub fn urandom() -> Self {
        Self { filename: Path::new("/dev/urandom") }
    }

    /// Another file or device that gives random bytes.
    pub fn file(filename: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self { filename: filename.as_ref() }
    }
}
