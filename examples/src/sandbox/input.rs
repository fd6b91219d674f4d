//! From the command line to a configuration and facts. Whatever is wrong here is the user's to mend: exit status 2.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qemu_dsl::HostFacts;
use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, FactsError};
use qemu_dsl::host::{ProbeError, ProbeOptions, Probed, cache_dir, probe};
use qemu_dsl::kernel::{MmioDiscovery, has_pvh};
use qemu_dsl::launch::WorkDirError;
use qemu_dsl::sandbox::{ConfigError, PlanError, Profile, SandboxConfig, VmId};

use crate::cli::Cli;

#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    WorkDir(#[from] WorkDirError),
    #[error("the facts file `{path}` cannot be read: {source}")]
    FactsFile { path: String, source: io::Error },
    #[error("the facts file `{path}` is not what --print-facts prints: {source}")]
    FactsFormat { path: String, source: serde_json::Error },
    #[error("the facts file `{path}` contradicts itself: {source}")]
    FactsLie { path: String, source: FactsError },
    #[error("{0}")]
    Qemu(String),
    #[error("the {what} `{path}` cannot be read: {source}; {remedy}")]
    File { what: &'static str, path: String, source: io::Error, remedy: &'static str },
    #[error("there is no user `{user}`: make one with `useradd --system {user}`, or leave out --user")]
    NoUser { user: String },
    #[error("the work directory `{path}` is not there: make it and put an overlay.qcow2 into it, or leave out --dir")]
    NoDir { path: String },
    #[error("the disk overlay cannot be made: {0}")]
    Overlay(String),
    #[error("the argument `{0}` is not UTF-8, and JSON cannot hold it: use --format shell, or another directory")]
    NotUtf8(String),
}

/// Facts, and where they come from.
pub(crate) struct Facts {
    pub(crate) facts: HostFacts,
    /// [`None`] where the facts come from a file.
    pub(crate) probed: Option<Arc<Probed>>,
}

impl Facts {
    pub(crate) fn new(cli: &Cli) -> Result<Self, InputError> {
        if let Some(path) = &cli.facts {
            return Ok(Self { facts: read_facts(path, cli.emulate)?, probed: None });
        }
        let mut options = ProbeOptions::new().force_emulation(cli.emulate).allow_network(cli.allow_network);
        if let Some(qemu) = &cli.qemu {
            options = options.qemu(qemu);
        }
        // Whoever prints facts wants to know how things are, and a dry run writes nothing.
        if let Some(dir) = cache_dir().filter(|_| !cli.print_facts) {
            let dry = cli.dry_run || cli.explain;
            options = if dry { options.read_only_cache(dir) } else { options.cache(dir) };
        }
        let probed = probe(&options)?;
        Ok(Self { facts: probed.facts.clone(), probed: Some(probed) })
    }
}

fn read_facts(path: &Path, emulate: bool) -> Result<HostFacts, InputError> {
    let shown = || path.display().to_string();
    let text = std::fs::read(path).map_err(|source| InputError::FactsFile { path: shown(), source })?;
    let mut facts: HostFacts =
        serde_json::from_slice(&text).map_err(|source| InputError::FactsFormat { path: shown(), source })?;
    facts.check().map_err(|source| InputError::FactsLie { path: shown(), source })?;
    if emulate {
        facts.accel = Acceleration::Tcg;
    }
    Ok(facts)
}

/// Where a work directory would be: nothing is made.
pub(crate) fn planned_dir(cli: &Cli) -> Result<PathBuf, InputError> {
    if let Some(dir) = &cli.dir {
        Ok(dir.clone())
    } else {
        let id: VmId = cli.vm_id.parse()?;
        Ok(work_parent().join(format!("vm-{}-XXXXXX", id.short())))
    }
}

/// The directory for new work directories: the session's own, or the system's for temporary files.
pub(crate) fn work_parent() -> PathBuf {
    let runtime: Option<OsString> = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_dir());
    runtime.map_or_else(std::env::temp_dir, PathBuf::from)
}

pub(crate) fn config(cli: &Cli, dir: PathBuf, arch: Architecture) -> Result<SandboxConfig, InputError> {
    let kernel_config = kernel_config(&cli.kernel_dir, arch);
    let mut config = SandboxConfig::new(&cli.vm_id, dir, &cli.kernel_dir)?
        .memory(cli.memory)?
        .allow_network(cli.allow_network)
        .expose(cli.expose.iter().copied())?
        .force_emulation(cli.emulate)
        .kernel_mmio(MmioDiscovery::from_config(&kernel_config))
        .pvh_kernel(has_pvh(&kernel_config) && is_elf(&cli.kernel_dir.join("vmlinux-x86_64")))
        .profile(if cli.fast { Profile::Fast } else { Profile::Standard });
    if let Some(user) = &cli.user {
        config = config.user(user)?;
    }
    if let Some(qemu) = &cli.qemu {
        config = config.qemu(qemu)?;
    }
    Ok(config)
}

/// The kernel's configuration; a file that cannot be read counts as none.
fn kernel_config(kernel_dir: &Path, arch: Architecture) -> String {
    let config = std::fs::read(kernel_dir.join(format!("config-{arch}"))).unwrap_or_default();
    String::from_utf8_lossy(&config).into_owned()
}

/// Whether there is an uncompressed kernel that can be read.
fn is_elf(path: &Path) -> bool {
    let mut start = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"\x7fELF"
}
