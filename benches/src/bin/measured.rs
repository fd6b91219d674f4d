//! Calls one measured function: `measured NAME`, for valgrind to count its instructions.

use std::hint::black_box;

use benches::{CALLS, config, facts, floor, ours, planned, reusing};
use qemu_dsl::sandbox::{Planner, SandboxConfig};
use qemu_dsl::{HostFacts, QemuCommand};

#[inline(never)]
fn measured_floor() {
    for _ in 0..CALLS {
        black_box(floor::floor(black_box(floor::VM_ID), black_box(floor::WORK_DIR), black_box(floor::KERNEL_DIR)));
    }
}

#[inline(never)]
fn measured_fresh(config: &SandboxConfig, facts: &HostFacts) {
    for _ in 0..CALLS {
        black_box(ours(black_box(config), black_box(facts)));
    }
}

#[inline(never)]
fn measured_reusing(config: &SandboxConfig, facts: &HostFacts, mut command: QemuCommand) {
    for _ in 0..CALLS {
        command = reusing(command, black_box(config), black_box(facts));
    }
    black_box(command);
}

#[inline(never)]
fn measured_planner(config: &SandboxConfig, planner: &mut Planner, mut command: QemuCommand) {
    for _ in 0..CALLS {
        command = planned(planner, black_box(config), Some(command));
    }
    black_box(command);
}

fn main() {
    let (config, facts) = (config(), facts());
    let command = ours(&config, &facts);
    match std::env::args().nth(1).as_deref() {
        Some("measured_floor") => measured_floor(),
        Some("measured_fresh") => measured_fresh(&config, &facts),
        Some("measured_reusing") => measured_reusing(&config, &facts, command),
        Some("measured_planner") => {
            let mut planner = Planner::new(facts);
            let command = planned(&mut planner, &config, Some(command));
            measured_planner(&config, &mut planner, command);
        }
        other => panic!("measured {other:?}"),
    }
}
