//! What is measured: the sandbox's command, made by the library, by hand, and by another crate.

pub mod alloc;
pub mod boot;
pub mod compile;
pub mod floor;
pub mod measure;
pub mod network;
pub mod probe;
pub mod report;
pub mod scale;
pub mod spawn;

use std::path::PathBuf;
use std::str::FromStr as _;

use qemu_command_builder::QemuInstanceForX86_64;
use qemu_command_builder::to_command::ToCommand as _;
use qemu_dsl::HostFacts;
use qemu_dsl::sandbox::{Plan, Planner, SandboxConfig, plan, plan_reusing};
use qemu_dsl::{QemuCommand, QemuVersion};

/// The configuration that is measured: with a network.
///
/// # Panics
///
/// Never: the values are good ones.
pub fn config() -> SandboxConfig {
    let config = SandboxConfig::new(floor::VM_ID, floor::WORK_DIR, floor::KERNEL_DIR).expect("a good configuration");
    config.allow_network(true)
}

/// A host with everything.
pub fn facts() -> HostFacts {
    HostFacts::example().with_qemu_version(Some(QemuVersion::new(9, 2, 0)))
}

/// The library's command.
///
/// # Panics
///
/// Never: there is a plan.
#[inline(never)]
pub fn ours(config: &SandboxConfig, facts: &HostFacts) -> QemuCommand {
    plan(config, facts).expect("a plan").into_command()
}

/// The library's command in the memory of an old one.
///
/// # Panics
///
/// Never: there is a plan.
#[inline(never)]
pub fn reusing(command: QemuCommand, config: &SandboxConfig, facts: &HostFacts) -> QemuCommand {
    plan_reusing(config, facts, Some(command)).expect("a plan").into_command()
}

/// The library's command, from a planner that has made one like it.
///
/// # Panics
///
/// Never: there is a plan.
#[inline(never)]
pub fn planned(planner: &mut Planner, config: &SandboxConfig, reuse: Option<QemuCommand>) -> QemuCommand {
    planner.plan_reusing(config, reuse).expect("a plan").into_command()
}

/// The library's command, with the reason of each argument.
///
/// # Panics
///
/// Never: there is a plan.
#[inline(never)]
pub fn explained(config: &SandboxConfig, facts: &HostFacts) -> usize {
    Plan::explain(config, facts).expect("a plan").options().count()
}

/// Another crate's value of the same command, ready to be written: what it takes to make the value is not measured.
///
/// # Panics
///
/// When that crate cannot read the command.
pub fn peer() -> QemuInstanceForX86_64 {
    let command = ours(&config(), &facts()).to_string();
    let (_, own) = command.split_once("-- ").expect("a wrapper");
    // It knows no nested options of `-drive`.
    QemuInstanceForX86_64::from_str(&own.replace(",file.locking=off", "")).expect("the peer reads the command")
}

/// How many calls instructions are counted over.
pub const CALLS: u64 = 100;

/// Allocations of one call.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// By hand.
    pub floor: usize,
    /// The library.
    pub fresh: usize,
    /// The library, in the memory of an old command.
    pub reusing: usize,
    /// A planner that has made a command like it.
    pub planner: usize,
    /// The same, in the memory of an old command.
    pub planner_reusing: usize,
    /// The library, with reasons.
    pub explained: usize,
    /// Another crate.
    pub peer: usize,
}

/// Counts allocations, in a program whose global allocator is [`alloc::Counting`].
///
/// # Panics
///
/// In any other program.
pub fn counted() -> Counts {
    let (config, facts, peer) = (config(), facts(), peer());
    let (fresh, command) = alloc::allocations(|| ours(&config, &facts));
    assert_ne!(fresh, 0, "nobody counts");
    let mut planner = Planner::new(facts.clone());
    planned(&mut planner, &config, None);
    let (planned_fresh, planned_command) = alloc::allocations(|| planned(&mut planner, &config, None));
    assert_eq!(planned_command, command);
    Counts {
        floor: alloc::allocations(|| floor::floor(floor::VM_ID, floor::WORK_DIR, floor::KERNEL_DIR)).0,
        fresh,
        reusing: alloc::allocations(|| reusing(command, &config, &facts)).0,
        planner: planned_fresh,
        planner_reusing: alloc::allocations(|| planned(&mut planner, &config, Some(planned_command))).0,
        explained: alloc::allocations(|| explained(&config, &facts)).0,
        peer: alloc::allocations(|| peer.to_command()).0,
    }
}

/// Another program of this build.
///
/// # Panics
///
/// When this program is not where cargo puts it.
pub fn sibling(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program");
    own.parent().expect("a directory").join(name)
}
