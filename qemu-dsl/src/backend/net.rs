//! Network back ends: `-netdev`.

use super::{IntoSocketPath, SocketPath};
use crate::opts::{PartKind, QemuOpts, Sort, handle, into_handle};
use crate::{Between, ProvesSince};

handle! {
    /// A network back end of a VM, for one network device. [`Vm::netdev`](crate::Vm::netdev) returns it.
    #[must_use = "a network back end without a device is not there for the guest: `vm.add(VirtioNet::new(net))`"]
    NetBackend, "netdev", PartKind {
        flag: "-netdev",
        prefix: "netdev",
        what: "the network back end",
        user: "one network device, such as `VirtioNet::new(net)`",
        is_shared: false, sort: Sort::Counted,
    }
}

into_handle! {
    IntoNetBackend, into_net_backend, NetBackend, "expected a `NetBackend`",
    "add the network back end to the VM first, and give the device what that returns: `let net = vm.netdev(UserNetdev::new());`, then `VirtioNet::new(net)`"
}

/// A network back end: `-netdev`. (QEMU documentation, "Invocation", `-netdev`)
///
/// ```
/// use qemu_dsl::backend::{Netdev, UserNetdev};
/// use qemu_dsl::opts;
/// assert_eq!(opts::to_text(&Netdev::from(UserNetdev::new().restrict(true)))?, b"user,restrict=on");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Netdev<'a> {
    /// A stream socket, to a user-mode network stack such as gvproxy or passt.
    #[qemu(since = "7.2")]
    Stream(StreamNetdev<'a>),
    /// QEMU's built-in user-mode network stack.
    User(UserNetdev),
}

/// A stream socket that carries Ethernet frames: `-netdev stream`, QEMU 7.2 and later.
///
/// ```
/// use qemu_dsl::QemuVersion;
/// use qemu_dsl::backend::{Netdev, Reconnect, SocketPath, StreamNetdev};
/// use qemu_dsl::opts;
///
/// let version = QemuVersion::new(10, 0, 0);
/// let mut netdev = StreamNetdev::unix(SocketPath::new("/run/gvproxy.sock")?);
/// if let Some(proof) = version.since() {
///     netdev = netdev.reconnect(Reconnect::milliseconds(250, proof));
/// }
/// let text = opts::to_text(&Netdev::from(netdev))?;
/// assert_eq!(text, b"stream,addr.type=unix,addr.path=/run/gvproxy.sock,reconnect-ms=250");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy)]
pub struct StreamNetdev<'a> {
    /// Whom QEMU connects to.
    #[qemu(flatten, prefix = "addr.")]
    addr: SocketAddress<'a>,
    /// Connecting again after a failure.
    #[qemu(flatten)]
    reconnect: ReconnectOption,
}

/// The address of a socket: QAPI's `SocketAddress`. [`StreamNetdev`] has an example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(tag = "type")]
#[non_exhaustive]
pub enum SocketAddress<'a> {
    /// A Unix socket.
    Unix {
        /// Its path.
        path: SocketPath<'a>,
    },
}

impl<'a> StreamNetdev<'a> {
    /// QEMU connects to the Unix socket at `path`.
    pub fn unix(path: impl IntoSocketPath<'a>) -> Self {
        let path = path.into_socket_path();
        Self { addr: SocketAddress::Unix { path }, reconnect: ReconnectOption { reconnect: None, reconnect_ms: None } }
    }

    /// Connects again after a failure. Without it, a back end that is not there yet is an error at the start.
    #[must_use]
    pub const fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect.0;
        self
    }
}

/// When QEMU connects again after a failure. The option changed its name and unit between versions, hence the proofs.
/// [`StreamNetdev`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect(ReconnectOption);

#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
struct ReconnectOption {
    /// Seconds between attempts.
    #[qemu(since = "8.0", until = "10.1")]
    reconnect: Option<u32>,
    /// Milliseconds between attempts.
    #[qemu(since = "9.2")]
    reconnect_ms: Option<u32>,
}

impl Reconnect {
    /// After so many milliseconds: `reconnect-ms`, QEMU 9.2 and later.
    pub const fn milliseconds(milliseconds: u32, _proof: impl ProvesSince<9, 2>) -> Self {
        Self(ReconnectOption { reconnect: None, reconnect_ms: Some(milliseconds) })
    }

    /// After so many seconds: `reconnect`, QEMU 8.0 to 10.1. From 9.2 on there is [`Reconnect::milliseconds`].
    pub const fn seconds(seconds: u32, _proof: Between<8, 0, 10, 1>) -> Self {
        Self(ReconnectOption { reconnect: Some(seconds), reconnect_ms: None })
    }
}

/// QEMU's built-in user-mode network stack: `-netdev user`. [`Netdev`] has an example.
#[derive(QemuOpts, Debug, Clone, Copy, Default)]
#[qemu(build = "The stack with QEMU's defaults: the guest reaches whatever the host reaches.")]
pub struct UserNetdev {
    /// Whether the guest is cut off from the host and the network.
    restrict: Option<bool>,
}

/// What can be given where a [`Netdev`] is wanted: one of its kinds. The trait is there for its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no network back end of the library",
    label = "not a network back end",
    note = "`UserNetdev` and `StreamNetdev` are",
    note = "for one of your own, implement `Backend` with `type Handle = NetBackend`, and add it with `vm.backend(...)`"
)]
pub trait IntoNetdev<'a> {
    #[doc(hidden)]
    fn into_netdev(self) -> Netdev<'a>;
}

macro_rules! into_netdev {
    ($($ty:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<'a> IntoNetdev<'a> for $ty {
            fn into_netdev(self) -> Netdev<'a> {
                self.into()
            }
        }
    )*};
}
into_netdev!(Netdev<'a> StreamNetdev<'a> UserNetdev);

impl<'a> From<StreamNetdev<'a>> for Netdev<'a> {
    fn from(netdev: StreamNetdev<'a>) -> Self {
        Self::Stream(netdev)
    }
}

impl From<UserNetdev> for Netdev<'_> {
    fn from(netdev: UserNetdev) -> Self {
        Self::User(netdev)
    }
}
