//! Back ends: what devices read from, write to and talk through. Each becomes a typed handle when it is added to a VM.
//!
//! | back end | added with | handle | used by |
//! |---|---|---|---|
//! | [`Drive`] | [`Vm::drive`](crate::Vm::drive) | [`BlockNode`] | one block device |
//! | [`ReadOnlyImage`] | [`Vm::shared_image`](crate::Vm::shared_image) | [`SharedImage`] | any number of block devices |
//! | [`Socket`], [`Stdio`], [`LogFile`], [`NullChardev`] | [`Vm::chardev`](crate::Vm::chardev) | [`Chardev`] | one console, port or monitor |
//! | the same, shared | [`Vm::mux_chardev`](crate::Vm::mux_chardev) | four [`Chardev`]s | up to four consoles, ports and monitors |
//! | [`Netdev`] | [`Vm::netdev`](crate::Vm::netdev) | [`NetBackend`] | one network device |
//! | I/O thread | [`Vm::iothread`](crate::Vm::iothread) | [`IoThread`] | any number of block devices |
//! | one of your own: [`Backend`] | [`Vm::backend`](crate::Vm::backend) | one of these, or a [`Part`] | what you say |
//! | [`RngRandom`] | [`Vm::rng_backend`](crate::Vm::rng_backend) | [`RngBackend`] | one random number device |

mod backing;
mod block;
mod chardev;
mod io;
mod memory;
mod net;
mod object;
mod own;

pub use block::{BlockNode, Format, IntoBlockNode, IntoFormat, ReadOnlyImage, SharedImage};
pub use chardev::{Chardev, ChardevBackend, IntoChardev, IntoSocketPath, SocketPath, SocketPathError};
pub use io::{Aio, Cache, DirectCache, Discard, ErrorPolicy, WriteErrorPolicy, ZeroWrites};
#[cfg(feature = "host")]
pub use memory::TemplateError;
pub use memory::TemplateMemory;
#[cfg(feature = "host")]
pub(crate) use memory::check_template;
pub use net::{IntoNetBackend, IntoNetdev, NetBackend, Reconnect, SocketAddress, StreamNetdev, UserNetdev};
pub use object::{IntoRngBackend, IoThread, RngBackend};
pub use own::{Backend, BackendKind, Part};

use crate::opts::family;

family! { "-drive" DRIVES {
    pub block::Drive,
} }
family! { "-blockdev" BLOCKDEVS {
    pub(crate) block::Blockdev,
} }
family! { "-chardev" CHARDEVS {
    pub chardev::LogFile,
    pub chardev::NullChardev,
    pub chardev::PassedSocket,
    pub chardev::Socket,
    pub chardev::Stdio,
} }
family! { "-netdev" NETDEVS {
    pub net::Netdev,
} }
family! { "-object" OBJECTS {
    pub(crate) memory::MemoryFile,
    pub(crate) object::IoThreadObject,
    pub object::RngRandom,
} }
