//! Many plans on one host.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use memchr::memmem;

use super::choices::{Choices, PlanError};
use super::config::SandboxConfig;
use super::plan::{Plan, plan_reusing};
use crate::facts::HostFacts;
use crate::{QemuCommand, QemuVersion};

/// Plans for one host, and remembers the last one: a sandbox that differs from it in nothing but its name and its work
/// directory, as most do, gets a copy of it with its own in their places. The plans are those of [`plan`](super::plan()), in a
/// tenth of the time.
///
/// ```
/// use qemu_dsl::HostFacts;
/// use qemu_dsl::sandbox::{Planner, SandboxConfig, plan};
///
/// let facts = HostFacts::example();
/// let mut planner = Planner::new(facts.clone());
/// for job in ["job-1", "job-2"] {
///     let config = SandboxConfig::new(job, format!("/run/vm-{job}"), "/usr/lib/sandbox")?;
///     assert_eq!(planner.plan(&config)?.command(), plan(&config, &facts)?.command());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Planner {
    facts: HostFacts,
    last: Option<Skeleton>,
}

impl Planner {
    /// A planner for a host.
    pub fn new(facts: HostFacts) -> Self {
        Self { facts, last: None }
    }

    /// The host.
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// Makes the command of a sandbox.
    ///
    /// # Errors
    ///
    /// As [`plan`](super::plan()).
    pub fn plan(&mut self, config: &SandboxConfig) -> Result<Plan, PlanError> {
        self.plan_reusing(config, None)
    }

    /// The same in the memory of a command that is no longer needed: then nothing is allocated.
    ///
    /// # Errors
    ///
    /// As [`plan`](super::plan()).
    pub fn plan_reusing(&mut self, config: &SandboxConfig, reuse: Option<QemuCommand>) -> Result<Plan, PlanError> {
        let Some(prefix) = plain_prefix(config) else { return plan_reusing(config, &self.facts, reuse) };
        if !self.last.as_ref().is_some_and(|last| last.config.is_like(config)) {
            self.last = Skeleton::new(config, &self.facts)?;
        }
        match &self.last {
            Some(skeleton) if skeleton.fits(config, prefix) => {
                Ok(skeleton.plan(config.vm_id().as_str(), prefix, reuse))
            }
            _ => plan_reusing(config, &self.facts, reuse),
        }
    }
}

/// The last file of the work directory's paths without its name: what stands before each name. [`None`] where QEMU wants
/// something about it written in another way.
fn plain_prefix(config: &SandboxConfig) -> Option<&[u8]> {
    let path = config.paths().cmd.as_os_str().as_bytes();
    let prefix = path.strip_suffix(b"cmd.sock")?;
    prefix.iter().all(|byte| !matches!(byte, b',' | b'=' | b':')).then_some(prefix)
}

/// A directory, of what stands before the files in it.
fn without_slash(prefix: &[u8]) -> &[u8] {
    prefix.strip_suffix(b"/").filter(|dir| !dir.is_empty()).unwrap_or(prefix)
}

/// What stands in a place of its own for each sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    Name,
    /// What stands before the name of a file in the work directory.
    Prefix,
    /// The work directory itself.
    Dir,
}

/// A command with holes.
#[derive(Debug, Clone)]
struct Skeleton {
    /// The configuration that it is of.
    config: SandboxConfig,
    choices: Choices,
    version: Option<QemuVersion>,
    /// The arguments, each ended by a NUL, without what stands in the holes.
    text: Vec<u8>,
    /// Where the holes are.
    holes: Vec<(usize, Hole)>,
    /// For each argument: where it ends in the text, and how many of each kind of hole have come up to there.
    ends: Vec<(u32, [u32; 3])>,
    /// Whether it names the work directory itself, as only a jail does.
    is_jail: bool,
}

/// Names and directories that stand for others: different ones, of different lengths, that are nowhere else in a command.
const STAND_INS: [(&str, &str); 2] = [
    ("Name-of-the-sandbox-7f3a", "/work-directory-of-the-sandbox-7f3a"),
    ("Other-name-c1d09", "/other-directory-c1d09/below"),
];

impl Skeleton {
    /// The skeleton of all plans like this one; [`None`] where it would not give them.
    fn new(config: &SandboxConfig, facts: &HostFacts) -> Result<Option<Self>, PlanError> {
        let mut plans = Vec::new();
        for (name, dir) in STAND_INS {
            let Ok(config) = config.renamed(name, dir) else { return Ok(None) };
            plans.push(plan_reusing(&config, facts, None)?);
        }
        let (name, dir) = STAND_INS[0];
        let mut skeleton = Self {
            config: config.clone(),
            choices: plans[0].choices(),
            version: plans[0].qemu_version(),
            text: Vec::new(),
            holes: Vec::new(),
            ends: Vec::new(),
            is_jail: false,
        };
        for arg in plans[0].command().argv() {
            skeleton.add(arg.to_bytes_with_nul(), name.as_bytes(), format!("{dir}/").as_bytes());
        }
        skeleton.is_jail = skeleton.holes.iter().any(|(_, hole)| *hole == Hole::Dir);
        // With the other stand-ins in its holes it must be the other plan: if a word of the configuration looks like a
        // stand-in, or a plan depends on a name in some other way, it is not.
        let (name, dir) = STAND_INS[1];
        let again = skeleton.plan(name, format!("{dir}/").as_bytes(), None);
        Ok((again.command() == plans[1].command()).then_some(skeleton))
    }

    /// Adds an argument, with holes where the stand-ins are.
    fn add(&mut self, mut arg: &[u8], name: &[u8], prefix: &[u8]) {
        loop {
            // The prefix is longer than the directory, and starts where that does.
            let found = [(Hole::Name, name), (Hole::Prefix, prefix), (Hole::Dir, without_slash(prefix))]
                .map(|(hole, stand_in)| memmem::find(arg, stand_in).map(|at| (at, hole, stand_in.len())));
            let Some((at, hole, len)) = found.into_iter().flatten().min_by_key(|(at, _, len)| (*at, usize::MAX - len))
            else {
                break;
            };
            self.text.extend_from_slice(&arg[..at]);
            self.holes.push((self.text.len(), hole));
            arg = &arg[at + len..];
        }
        self.text.extend_from_slice(arg);
        #[allow(clippy::cast_possible_truncation)] // a command has far less than 4 GiB
        let count = |of: Hole| self.holes.iter().filter(|(_, hole)| *hole == of).count() as u32;
        #[allow(clippy::cast_possible_truncation)]
        self.ends.push((self.text.len() as u32, [Hole::Name, Hole::Prefix, Hole::Dir].map(count)));
    }

    /// Whether a plan of this configuration is the skeleton's: a jail is made otherwise for directories that are a part of what it
    /// shows anyway, and refuses a relative one.
    fn fits(&self, config: &SandboxConfig, prefix: &[u8]) -> bool {
        if !self.is_jail {
            return true;
        }
        let dir = Path::new(OsStr::from_bytes(without_slash(prefix)));
        dir.is_absolute() && dir.parent().is_some() && !config.confinement.shows(dir)
    }

    fn plan(&self, name: &str, prefix: &[u8], reuse: Option<QemuCommand>) -> Plan {
        let command = QemuCommand::filled(reuse, |arena, ends| {
            let mut from = 0;
            for &(at, hole) in &self.holes {
                arena.extend_from_slice(&self.text[from..at]);
                arena.extend_from_slice(match hole {
                    Hole::Name => name.as_bytes(),
                    Hole::Prefix => prefix,
                    Hole::Dir => without_slash(prefix),
                });
                from = at;
            }
            arena.extend_from_slice(&self.text[from..]);
            #[allow(clippy::cast_possible_truncation)] // a name has at most 64 bytes, a socket's path 107
            let (name, with, without) = (name.len() as u32, prefix.len() as u32, without_slash(prefix).len() as u32);
            ends.extend(
                self.ends.iter().map(|(end, [names, files, dirs])| end + names * name + files * with + dirs * without),
            );
        });
        Plan::of(command, self.choices, self.version)
    }
}
