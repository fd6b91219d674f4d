//! Every option that the library can write, as data: for documentation, for tools, and for the tests that compare each one
//! with what QEMU binaries say about themselves.
//!
//! ```
//! use qemu_dsl::schemas::SCHEMAS;
//! let disk = SCHEMAS.iter().find(|described| described.of == "VirtioBlk").unwrap();
//! assert_eq!(disk.flag, "-device");
//! assert!(disk.schema.fields().any(|field| field.key.name == "queue-size"));
//! ```

use crate::accel::{Hvf, Kvm, Tcg, X86_64};
use crate::backend::{
    Blockdev, Drive, IoThreadObject, LogFile, MemoryFile, Netdev, NullChardev, PassedSocket, RngRandom, Socket, Stdio,
};
use crate::cpu::{CortexA57, Haswell, Host, Max, Rv64};
use crate::device::{
    Nvme, PcieRootPort, VirtConsole, VirtSerialPort, VirtioBalloon, VirtioBlk, VirtioNet, VirtioRng, VirtioSerial,
};
use crate::machine::{Microvm, Pc, Q35, RiscvVirt, RiscvVirtPcie, Virt, VirtPcie};
use crate::opts::{QemuOpts, Schema};
use crate::seccomp::Seccomp;
use crate::vm::globals::{MachineMemory, Monitor, Mux, Name, SMP};

/// The options of one of the library's types. [The module](self) has an example.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// The flag that they stand behind: `-device`.
    pub flag: &'static str,
    /// The type's name: `VirtioBlk`.
    pub of: &'static str,
    /// The options.
    pub schema: &'static Schema,
}

macro_rules! schemas {
    ($($flag:literal: $($ty:ident$(<$param:ty>)?),* $(,)?;)*) => {
        &[$($(Described { flag: $flag, of: stringify!($ty), schema: <$ty$(<$param>)? as QemuOpts>::SCHEMA },)*)*
          Described { flag: "-smp", of: "Smp", schema: SMP }]
    };
}

/// The options of all of the library's types, by flag. [The module](self) has an example.
pub const SCHEMAS: &[Described] = schemas! {
    "-accel": Kvm<X86_64>, Hvf<X86_64>, Tcg;
    "-machine": Microvm, Pc, Q35, Virt, VirtPcie, RiscvVirt, RiscvVirtPcie, MachineMemory;
    "-cpu": Host, Max, Haswell, CortexA57, Rv64;
    "-name": Name;
    "-sandbox": Seccomp;
    "-drive": Drive;
    "-blockdev": Blockdev;
    "-chardev": Socket, PassedSocket, Stdio, LogFile, NullChardev, Mux;
    "-mon": Monitor;
    "-netdev": Netdev;
    "-object": IoThreadObject, RngRandom, MemoryFile;
    "-device": VirtioBlk, VirtioNet, VirtioSerial, VirtioBalloon, VirtioRng, VirtSerialPort, VirtConsole, Nvme,
        PcieRootPort;
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A struct with a head of its own that is not listed would escape the comparison with QEMU.
    #[test]
    fn every_head_in_the_source_is_listed() {
        fn walk(dir: &std::path::Path, heads: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    walk(&entry, heads);
                    continue;
                }
                let text = std::fs::read_to_string(&entry).unwrap_or_default();
                for line in text.lines().filter(|line| line.starts_with("#[qemu(")) {
                    let head = line.split_once("device = \"").or_else(|| line.split_once("implied = \""));
                    heads.extend(head.and_then(|(_, rest)| rest.split('"').next()).map(ToOwned::to_owned));
                }
            }
        }
        let mut heads = Vec::new();
        walk(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut heads);
        assert!(heads.len() > 20, "{heads:?}");
        let listed = format!("{SCHEMAS:?}");
        for head in heads {
            assert!(listed.contains(&format!("(\"{head}\")")), "`{head}` is not in SCHEMAS");
        }
        for row in crate::machine::ALL.iter().copied().flatten() {
            let of = row.of.split("::").next();
            assert!(SCHEMAS.iter().any(|described| Some(described.of) == of), "`{}` is not in SCHEMAS", row.of);
        }
    }
}
