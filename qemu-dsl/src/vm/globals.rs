//! Options of the VM as a whole.

use std::ffi::OsStr;

use crate::backend::Chardev;
use crate::opts::{Described, FieldSchema, Head, Id, Key, OptType, QemuOpts, Schema};

/// `-name`.
#[derive(QemuOpts)]
pub(crate) struct Name<'a> {
    /// What tools call the VM.
    pub(crate) guest: &'a OsStr,
}

/// `-mon`.
#[derive(QemuOpts)]
pub(crate) struct Monitor<'a> {
    /// What the monitor is reached through.
    pub(crate) chardev: &'a Chardev,
    /// The protocol.
    pub(crate) mode: MonitorMode,
}

#[derive(QemuOpts)]
#[qemu(value)]
pub(crate) enum MonitorMode {
    /// QMP.
    Control,
}

/// What a template adds to `-machine`.
#[derive(QemuOpts)]
pub(crate) struct MachineMemory {
    /// The object that is the guest's memory.
    pub(crate) memory_backend: Option<Id>,
}

/// What sharing adds to `-chardev`.
#[derive(QemuOpts)]
pub(crate) struct Mux {
    /// Whether several front ends share it.
    pub(crate) mux: bool,
}

/// `-smp`, whose first key is implied: a number stands there, never text.
const SMP: &Schema = &Schema::new(
    Head::None,
    &[
        FieldSchema::new(Key::new("cpus"), OptType::Integer, "How many CPUs there are at the start."),
        FieldSchema::new(Key::new("maxcpus"), OptType::Integer, "How many CPUs there can be."),
    ],
);

crate::opts::family! { "-name" NAMES: Name }
crate::opts::family! { "-chardev" MUXES: Mux }
crate::opts::family! { "-mon" MONITORS: Monitor }
crate::opts::family! { "-machine" MACHINE_MEMORY: MachineMemory }

/// The CPUs, which are no struct.
pub(crate) const CPUS: &[Described] = &[Described { flag: "-smp", of: "Smp", schema: SMP }];
