//! t
extern crate self as qemu_dsl;

mod command;
mod setters;
#[cfg(feature = "host")]
mod status;
mod version;

pub mod accel;
pub mod backend;
pub mod bus;
pub mod cpu;
pub mod device;
pub mod facts;
#[cfg(feature = "host")]
pub mod host;
pub mod kernel;
#[cfg(feature = "host")]
pub mod launch;
pub mod machine;
mod namespaces;
pub mod opts;
pub mod prelude;
#[cfg(feature = "host")]
pub mod qmp;
pub mod sandbox;
pub mod seccomp;
pub mod vm;

pub use command::{CommandError, QemuCommand};
pub use facts::HostFacts;
pub use opts::Id;
pub use version::{QemuVersion, Since};
pub use vm::{Memory, MemoryError, Smp, SmpError, Vm};
