//! Back ends: what devices read from, write to and talk through. Each becomes a typed handle when it is added to a VM.
//!
//! | back end | added with | handle | used by |
//! |---|---|---|---|
//! | [`Drive`] | [`Vm::drive`](crate::Vm::drive) | [`BlockNode`] | one block device |
//! | [`Socket`], [`Stdio`], [`LogFile`], [`NullChardev`] | [`Vm::chardev`](crate::Vm::chardev) | [`Chardev`] | one console, port or monitor |
//! | [`Netdev`] | [`Vm::netdev`](crate::Vm::netdev) | [`NetBackend`] | one network device |
//! | I/O thread | [`Vm::iothread`](crate::Vm::iothread) | [`IoThread`] | any number of block devices |
//! | [`RngRandom`] | [`Vm::rng_backend`](crate::Vm::rng_backend) | [`RngBackend`] | one random number device |

mod block;
mod chardev;
mod net;
mod object;

pub use block::{Aio, BlockNode, Cache, Discard, Drive, ErrorPolicy, Format, WriteErrorPolicy, ZeroWrites};
pub use chardev::{
    Chardev, ChardevBackend, IntoSocketPath, LogFile, NullChardev, Socket, SocketPath, SocketPathError, Stdio,
};
pub use net::{NetBackend, Netdev, Reconnect, SocketAddress, StreamNetdev, UserNetdev};
pub(crate) use object::IoThreadObject;
pub use object::{IoThread, RngBackend, RngRandom};
