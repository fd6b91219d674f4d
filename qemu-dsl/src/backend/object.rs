//! Objects: `-object`.

use std::path::Path;

use crate::opts::{OptType, OptValue, PartKind, QemuOpts, Sort, ValueWriter, handle, into_handle};

handle! {
    /// An I/O thread of a VM, for any number of block devices. [`Vm::iothread`](crate::Vm::iothread) returns it.
    #[must_use = "an I/O thread does nothing until a device has it: `VirtioBlk::new(drive).iothread(iothread)`"]
    IoThread [Clone, Copy], "iothread", PartKind {
        flag: "-object",
        prefix: "iothread",
        what: "the I/O thread",
        user: "a block device: `VirtioBlk::new(drive).iothread(iothread)`",
        is_shared: true, sort: Sort::Thread,
    }
}

handle! {
    /// A source of random numbers of a VM, for one device. [`Vm::rng_backend`](crate::Vm::rng_backend) returns it.
    #[must_use = "a source of random numbers does nothing until a device has it: `vm.add(VirtioRng::new(rng))`"]
    RngBackend, "rng", PartKind {
        flag: "-object",
        prefix: "rng",
        what: "the source of random numbers",
        user: "one random number device, such as `VirtioRng::new(rng)`",
        is_shared: false, sort: Sort::Counted,
    }
}

into_handle! {
    IntoRngBackend, into_rng_backend, RngBackend, "expected an `RngBackend`",
    "add the source to the VM first, and give the device what that returns: `let random = vm.rng_backend(RngRandom::urandom());`, then `VirtioRng::new(random)`"
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
#[qemu(implied = "rng-random")]
pub struct RngRandom<'a> {
    /// The file.
    filename: Source<'a>,
}

/// Where random bytes come from.
#[derive(Debug, Clone, Copy)]
struct Source<'a>(&'a Path);

impl OptValue for Source<'_> {
    const TYPE: OptType = OptType::Path;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        if self.0.as_os_str().is_empty() {
            return value.refuse("a source of random numbers needs a path, and this one is empty");
        }
        self.0.write_value(value);
    }
}

impl<'a> RngRandom<'a> {
    /// The kernel's `/dev/urandom`.
    pub fn urandom() -> Self {
        Self { filename: Source(Path::new("/dev/urandom")) }
    }

    /// Another file or device that gives random bytes.
    pub fn file(filename: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self { filename: Source(filename.as_ref()) }
    }
}
