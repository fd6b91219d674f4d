//! Back ends of any kind, those of wrapper authors included.

use std::fmt;
use std::marker::PhantomData;

use super::{BlockNode, Chardev, ChardevBackend, Drive, NetBackend, Netdev, RngBackend, RngRandom};
use crate::opts::{Extra, Handle, Id, Issued, OptType, OptValue, PartKind, QemuOpts, Sort, Token, ValueWriter};

/// Something that a VM's devices use, and that becomes a handle when it is added with [`Vm::backend`](crate::Vm::backend): another
/// way to make one of the library's handles, or a kind of its own.
///
/// ```
/// use qemu_dsl::backend::{Backend, BackendKind, NetBackend, Part};
/// use qemu_dsl::prelude::*;
///
/// /// A tap device: a network back end like the library's own.
/// #[derive(QemuOpts)]
/// #[qemu(implied = "tap")]
/// struct Tap { ifname: String, script: String }
/// impl Backend for Tap {
///     type Handle = NetBackend;
/// }
///
/// /// Directories of the host: a kind of back ends of its own.
/// struct Fsdev;
/// impl BackendKind for Fsdev {
///     const FLAG: &'static str = "-fsdev";
///     const PREFIX: &'static str = "fsdev";
///     const WHAT: &'static str = "the shared directory";
///     const USER: &'static str = "one `Virtio9p`";
/// }
///
/// #[derive(QemuOpts)]
/// #[qemu(implied = "local")]
/// struct Directory { path: std::path::PathBuf, #[qemu(rename = "security_model")] security: String }
/// impl Backend for Directory {
///     type Handle = Part<Fsdev>;
/// }
///
/// #[derive(QemuOpts)]
/// #[qemu(device = "virtio-9p", virtio)]
/// struct Virtio9p { fsdev: Part<Fsdev>, #[qemu(rename = "mount_tag")] tag: String }
///
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let net = vm.backend(Tap { ifname: "tap0".into(), script: "no".into() });
/// vm.add(VirtioNet::new(net));
/// let fsdev = vm.backend(Directory { path: "/srv".into(), security: "none".into() });
/// vm.add(Virtio9p { fsdev, tag: "srv".into() });
/// let command = vm.build()?.to_string();
/// assert!(command.contains("-netdev tap,id=netdev0,ifname=tap0,script=no"));
/// assert!(command.contains("-fsdev local,id=fsdev0,path=/srv,security_model=none -device virtio-9p-pci,fsdev=fsdev0"));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a back end",
    label = "not a back end",
    note = "for a type of your own, implement `Backend`, which says what handle it becomes",
    note = "devices are added with `vm.add`"
)]
pub trait Backend: QemuOpts {
    /// What adding it returns.
    type Handle: Handle;

    /// Whether it takes the standard input of QEMU, which only one can.
    const TAKES_STDIO: bool = false;
    /// Whether it both reads and writes, as a monitor needs it of a character device.
    const TALKS_BOTH_WAYS: bool = true;
}

/// A kind of back ends that the library does not know. [`Backend`] has an example.
pub trait BackendKind {
    /// The flag that adds one: `-fsdev`. Ids behind one flag must differ.
    const FLAG: &'static str;
    /// What ids are made of, with a number behind it: a letter, then letters, digits and hyphens.
    const PREFIX: &'static str;
    /// What it is, for errors: "the shared directory".
    const WHAT: &'static str;
    /// What uses one, for errors: "one `Virtio9p`".
    const USER: &'static str;
    /// Whether several devices can use one.
    const IS_SHARED: bool = false;
}

/// A back end of kind `K` in a VM. [`Vm::backend`](crate::Vm::backend) returns it; [`Backend`] has an example.
#[must_use = "a back end that no device has does nothing"]
pub struct Part<K>(Issued, PhantomData<fn() -> K>);

impl<K: BackendKind> Part<K> {
    /// The id, by which QMP clients name it.
    pub const fn id(&self) -> Id {
        self.0.id
    }
}

impl<K> fmt::Debug for Part<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({})", self.0.id)
    }
}

impl<K: BackendKind> Handle for Part<K> {
    const KIND: &'static PartKind = &PartKind {
        flag: K::FLAG,
        prefix: {
            assert!(Id::parse(K::PREFIX).is_ok() && K::PREFIX.len() <= 64, "PREFIX is the beginning of an id");
            K::PREFIX
        },
        what: K::WHAT,
        user: K::USER,
        is_shared: K::IS_SHARED,
        sort: Sort::Counted,
    };

    fn from_issued(issued: Issued, _: Token) -> Self {
        Self(issued, PhantomData)
    }

    fn part(&self, _: Token) -> Issued {
        self.0
    }
}

impl<K: BackendKind> OptValue for Part<K> {
    const TYPE: OptType = OptType::Reference("id");

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.handle(&self.0.id, self.0.place);
    }
}

#[diagnostic::do_not_recommend]
impl<B: ChardevBackend> Backend for B {
    type Handle = Chardev;
    const TAKES_STDIO: bool = <B as ChardevBackend>::TAKES_STDIO;
    const TALKS_BOTH_WAYS: bool = <B as ChardevBackend>::TALKS_BOTH_WAYS;
}

#[diagnostic::do_not_recommend]
impl<B: Backend> Backend for Extra<B> {
    type Handle = B::Handle;
    const TAKES_STDIO: bool = B::TAKES_STDIO;
    const TALKS_BOTH_WAYS: bool = B::TALKS_BOTH_WAYS;
}

impl Backend for Drive<'_> {
    type Handle = BlockNode;
}

impl Backend for Netdev<'_> {
    type Handle = NetBackend;
}

impl Backend for RngRandom<'_> {
    type Handle = RngBackend;
}
