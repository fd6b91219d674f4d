//! From the command line to a configuration and facts. Whatever is wrong here is the user's to mend: exit status 2.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use qemu_dsl::HostFacts;
use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, FactsError};
use qemu_dsl::files::FileError;
use qemu_dsl::host::{Missing, ProbeError, ProbeOptions, Probed, cache_dir, find_program, find_program_in_jail, probe};
use qemu_dsl::image::ImageError;
use qemu_dsl::kernel::{KernelError, MmioDiscovery, has_pvh, identify, read_config};
use qemu_dsl::launch::{CgroupError, WorkDirError};
use qemu_dsl::sandbox::{
    ConfigError, Confinement, Place, PlaceError, PlanError, Profile, SandboxConfig, VmId, work_parent,
};

use crate::cli::Cli;
use crate::shown;

#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    WorkDir(#[from] WorkDirError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("the facts file `{path}` cannot be read: {source}")]
    FactsFile { path: String, source: io::Error },
    #[error("the facts file `{path}` is not what --print-facts prints: {source}")]
    FactsFormat { path: String, source: serde_json::Error },
    #[error("the facts file `{path}` contradicts itself: {source}")]
    FactsLie { path: String, source: FactsError },
    #[error("{0}")]
    Qemu(String),
    #[error("--jail-read `{path}`: {reason}")]
    JailRead { path: String, reason: String },
    #[error("the {what}: {source}; {remedy}")]
    File { what: &'static str, source: FileError, remedy: &'static str },
    #[error("the work directory `{path}` is not there: make it and put an overlay.qcow2 into it, or leave out --dir")]
    NoDir { path: String },
    #[error("the disk: {source}{remedy}")]
    Image { source: ImageError, remedy: &'static str },
    #[error("the disk overlay cannot be made: {0}")]
    Overlay(String),
    #[error("the argument `{0}` is not UTF-8, and JSON cannot hold it: use --format shell, or another directory")]
    NotUtf8(String),
}

/// Far more than facts take.
const MAX_FACTS: usize = 1 << 20;
/// How long whoever writes the facts may take.
const FACTS_LIMIT: Duration = Duration::from_secs(10);

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
        let mut options = ProbeOptions::new().force_emulation(cli.emulate).allow_network(cli.has_internet());
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
    let text = read_in_time(path).map_err(|source| InputError::FactsFile { path: shown(), source })?;
    let mut facts: HostFacts =
        serde_json::from_slice(&text).map_err(|source| InputError::FactsFormat { path: shown(), source })?;
    facts.check().map_err(|source| InputError::FactsLie { path: shown(), source })?;
    if emulate {
        facts.accel = Acceleration::Tcg;
    }
    Ok(facts)
}

/// What a file has. Standard input and pipes are fine, such as a shell's `<(...)`; a file without an end is not, nor one that nobody
/// writes.
fn read_in_time(path: &Path) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + FACTS_LIMIT;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let (mut text, mut chunk) = (Vec::new(), [0; 16 << 10]);
    while text.len() < MAX_FACTS {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        // Before its first writer has come, a FIFO that is read looks as if it were at its end.
        let ready = match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(nix::errno::Errno::EINTR) => continue,
            ready => ready?,
        };
        if ready == 0 || left.is_zero() {
            let reason = format!("its end did not come within {FACTS_LIMIT:?}");
            return Err(io::Error::new(ErrorKind::TimedOut, reason));
        }
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => text.extend_from_slice(&chunk[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(text)
}

/// Where a work directory would be: nothing is made.
pub(crate) fn planned_dir(cli: &Cli, facts: &HostFacts) -> Result<PathBuf, InputError> {
    let dir = if let Some(dir) = &cli.dir {
        dir.clone()
    } else {
        let id: VmId = cli.vm_id.parse()?;
        work_parent(facts).0.join(format!("vm-{}-XXXXXX", id.short()))
    };
    Ok(dir)
}

pub(crate) fn config(cli: &Cli, dir: &Path, facts: &Facts, place: Option<&Place>) -> Result<SandboxConfig, InputError> {
    let arch = facts.facts.arch;
    let KernelDir { config: kernel_config, note } = kernel_config(&cli.kernel_dir, arch);
    if let Some(note) = note {
        crate::tell(&format!("note: {note}"));
    }
    // The plan has `rtc=off` where the TSC deadline timer replaces the others; then KVM's own clock tells the time.
    let hardware = facts.facts.accel != Acceleration::Tcg && !cli.emulate;
    if hardware && !kernel_config.is_empty() && !kernel_config.lines().any(|line| line == "CONFIG_KVM_GUEST=y") {
        crate::tell("note: the guest kernel lacks CONFIG_KVM_GUEST, so that its clock may start in 1970");
    }
    // A jail has directories of its own: there, relative paths lead nowhere.
    let in_jail = |path: &Path| -> PathBuf {
        let absolute = facts.facts.bwrap.then(|| std::path::absolute(path).ok()).flatten();
        absolute.unwrap_or_else(|| path.to_owned())
    };
    let kernel_dir = in_jail(&cli.kernel_dir);
    let vmlinux = kernel_dir.join("vmlinux-x86_64");
    let is_pvh = || identify(&vmlinux).is_ok_and(|kernel| kernel.is_pvh());
    let mut config = SandboxConfig::new(&cli.vm_id, in_jail(dir), &kernel_dir)?
        .memory(cli.memory)?
        .allow_network(cli.has_internet())
        .network_policy(cli.policy())
        .expose(cli.expose.iter().copied())?
        .force_emulation(cli.emulate)
        .kernel_mmio(MmioDiscovery::from_config(&kernel_config))
        .pvh_kernel(has_pvh(&kernel_config) && is_pvh())
        .profile(if cli.fast { Profile::Fast } else { Profile::Standard });
    if let Some(user) = &cli.user {
        config = config.user(user)?;
    }
    if let Some(qemu) = qemu(cli, facts, &in_jail) {
        config = config.qemu(qemu)?;
    }
    let confinement = confinement(cli, facts, &in_jail);
    Ok(config.confinement(match place {
        Some(place) => place.confinement(confinement),
        None => confinement,
    }))
}

/// The QEMU that is started: the one that was probed, whatever a jail's `PATH` leads to.
fn qemu(cli: &Cli, facts: &Facts, in_jail: &impl Fn(&Path) -> PathBuf) -> Option<OsString> {
    let Some(probed) = &facts.probed else {
        let given = cli.qemu.clone()?;
        return Some(if shown::is_path(&given) { in_jail(Path::new(&given)).into() } else { given });
    };
    let real = |path: PathBuf| path.canonicalize().ok();
    let Some(path) = find_program(&probed.binary) else { return cli.qemu.clone() };
    let in_its_path = find_program_in_jail(&probed.binary).and_then(real);
    let is_same = !shown::is_path(&probed.binary) && in_its_path.is_some() && in_its_path == real(path.clone());
    if is_same { cli.qemu.clone() } else { Some(path.into()) }
}

/// What holds QEMU, and what it sees in its jail beside what every one does.
fn confinement(cli: &Cli, facts: &Facts, in_jail: &impl Fn(&Path) -> PathBuf) -> Confinement {
    let mut confinement = Confinement::new();
    if let Some(level) = cli.isolation {
        confinement = confinement.isolation(level);
    }
    if let Some(level) = cli.require_isolation {
        confinement = confinement.require(level);
    }
    if let Some(range) = &cli.uid_range {
        confinement = confinement.ids(*range.start(), *range.start());
    }
    let mut read: Vec<PathBuf> = cli.jail_read.iter().map(|path| in_jail(path)).collect();
    read.extend(shown::of_qemu(cli, facts));
    if let Some(base) = base(cli, facts.facts.arch) {
        // The overlay names the file itself, whatever links lead to it.
        read.push(base.canonicalize().unwrap_or_else(|_| in_jail(&base)));
    }
    // What /usr has is shown anyway, and so is what is in another of these.
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in read {
        if !path.starts_with("/usr") && !kept.iter().any(|other| path.starts_with(other)) {
            kept.push(path);
        }
    }
    kept.into_iter().fold(confinement, Confinement::read)
}

/// The image that the disk is made on.
pub(crate) fn base(cli: &Cli, arch: Architecture) -> Option<PathBuf> {
    let usual = || cli.dir.is_none().then(|| cli.kernel_dir.join(format!("rootfs-{arch}.qcow2")));
    cli.base.clone().or_else(usual)
}

struct KernelDir {
    config: String,
    note: Option<String>,
}

/// The kernel's configuration; a file that cannot be read counts as none, and one that is there is told of.
fn kernel_config(kernel_dir: &Path, arch: Architecture) -> KernelDir {
    let plain = kernel_dir.join(format!("config-{arch}"));
    let path = if plain.exists() { plain } else { kernel_dir.join(format!("config-{arch}.gz")) };
    match read_config(&path) {
        Ok(config) => KernelDir { config, note: None },
        Err(_) if !path.exists() => KernelDir { config: String::new(), note: None },
        Err(error) => KernelDir { config: String::new(), note: Some(error.to_string()) },
    }
}
