//! t
extern crate self as qemu_dsl;

mod command;
mod setters;
mod version;

pub mod accel;
pub mod backend;
pub mod bus;
pub mod cpu;
pub mod device;
pub mod facts;
pub mod kernel;
pub mod machine;
pub mod opts;
pub mod prelude;
pub mod seccomp;
pub mod vm;

pub use command::{CommandError, QemuCommand};
pub use facts::HostFacts;
pub use opts::Id;
pub use version::{QemuVersion, Since};
pub use vm::{Memory, MemoryError, Smp, SmpError, Vm};
