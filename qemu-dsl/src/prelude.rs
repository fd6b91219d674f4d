//! What most definitions need: `use qemu_dsl::prelude::*`. It holds only what is defined elsewhere, with examples there.

pub use crate::accel::Tcg;
pub use crate::backend::{
    Aio, Cache, DirectCache, Discard, Drive, Format, LogFile, Netdev, NullChardev, ReadOnlyImage, Reconnect, RngRandom,
    Socket, SocketPath, Stdio, StreamNetdev, UserNetdev,
};
pub use crate::cpu::{CortexA57, Haswell, Host, Max, Rv64};
pub use crate::device::{
    DiskSerial, MacAddress, Nvme, OnMmio, OnPci, PcieRootPort, VirtSerialPort, VirtioBalloon, VirtioBlk, VirtioNet,
    VirtioRng,
};
pub use crate::kernel::Kernel;
pub use crate::machine::{Microvm, Pc, Q35, RiscvVirt, RiscvVirtPcie, Virt, VirtPcie};
pub use crate::opts::{Id, QemuOpts, Size, WithExtra};
pub use crate::seccomp::Seccomp;
pub use crate::vm::{AnyVm, BuildChain, Reason, Smp, Vm};
pub use crate::{Memory, id, mib};
