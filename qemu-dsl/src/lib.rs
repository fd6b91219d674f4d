//! Typed QEMU: a virtual machine that cannot work does not compile.
//!
//! ```
//! use qemu_dsl::prelude::*;
//!
//! let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(256));
//! vm.kernel(Kernel::new("vmlinuz").initrd("initramfs").cmdline("root=/dev/vda ro"));
//! let disk = vm.drive(Drive::new("root.qcow2", Format::Qcow2));
//! vm.add(VirtioBlk::new(disk));
//! let (console, [agent]) = vm.virtio_serial();
//! let socket = vm.chardev(Socket::listen(SocketPath::new("agent.sock")?));
//! vm.add(VirtSerialPort::new(agent, socket).name("org.example.agent"));
//! let stdio = vm.chardev(Stdio::new());
//! let command = vm.virtconsole(console, stdio).build()?;
//! assert!(command.to_string().contains("-append 'console=hvc0 root=/dev/vda ro'"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A PCI device on a machine without PCI, a second console, a disk given to two devices, `-cpu host` under emulation, an option
//! that the host or the binary cannot do: none of these compiles, and the message says what to do.
//!
//! # Where things are
//!
//! Ground floor first; nothing uses what stands above it.
//!
//! | module | what is there |
//! |---|---|
//! | [`opts`] | QEMU's option syntax: the derive, writing, reading back, the schema |
//! | [`QemuCommand`] | the finished command line |
//! | [`accel`], [`bus`], [`machine`](mod@machine), [`cpu`] | accelerators, buses, machine types, CPU models, and which go together |
//! | [`backend`], [`device`], [`kernel`] | what a VM is made of |
//! | [`vm`] | [`Vm`], the builder |
//! | [`flag`], [`mod@line`] | QEMU's switches, and command lines that others wrote, as data |
//! | [`facts`] | [`HostFacts`]: what a host can do, as data, and the proofs that follow |
//! | [`catalogue`] | every option that the library writes, as data |
//! | [`isolation`] | what a sandboxed QEMU runs in |
//! | [`text`] | what guests and QEMU say, made fit to be shown |
//! | [`policy`] | what a guest may reach, as data |
//! | [`sandbox`] | the VM for code that nobody trusts, planned from facts |
//! | [`files`], [`image`] | files from elsewhere: opened without waiting, and what a disk image names |
//! | `host` | the probes; feature `host` |
//! | `network` | gvproxy, and the filter between it and a guest; feature `host` |
//! | `qmp`, `launch` | starting, talking to and ending QEMU; feature `host` |
//!
//! Without the feature `host` (it is a default) the crate touches nothing: a command is a pure function of a definition and
//! facts.
extern crate self as qemu_dsl;

mod bytes;
mod command;
#[cfg(feature = "host")]
mod connect;
#[cfg(feature = "host")]
mod deadline;
#[cfg(feature = "host")]
mod process;
#[cfg(feature = "host")]
mod programs;
#[cfg(feature = "host")]
mod status;
mod version;

#[doc(hidden)]
pub mod __private;
pub mod accel;
pub mod backend;
pub mod bus;
pub mod catalogue;
pub mod cpu;
pub mod device;
pub mod facts;
pub mod files;
pub mod flag;
#[cfg(feature = "host")]
pub mod host;
pub mod image;
pub mod isolation;
pub mod kernel;
#[cfg(feature = "host")]
pub mod launch;
pub mod line;
pub mod machine;
mod memory;
#[cfg(feature = "host")]
pub mod network;
pub mod opts;
pub mod policy;
pub mod prelude;
#[cfg(feature = "host")]
pub mod qmp;
pub mod rule;
pub mod sandbox;
pub mod seccomp;
pub mod text;
pub mod vm;

pub use command::{CommandError, QemuCommand};
pub use facts::HostFacts;
pub use memory::{Memory, MemoryError};
pub use opts::Id;
pub use version::{Between, ProvesSince, QemuVersion, Since};
pub use vm::{Smp, SmpError, Vm};
