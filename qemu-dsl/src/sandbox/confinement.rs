//! What holds the sandbox's QEMU: which level, and the words that stand before it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::choices::PlanError;
use super::config::SandboxConfig;
use super::reasons;
use crate::facts::{Acceleration, HostFacts, Os};
use crate::isolation::{Dropped, Isolation, Jail, unshare, unshare_user};
use crate::vm::Wrapper;

/// What is wanted of the sandbox's isolation, and what it needs to see.
///
/// ```
/// use qemu_dsl::isolation::Isolation;
/// use qemu_dsl::sandbox::{Confinement, SandboxConfig};
/// let confinement = Confinement::new().require(Isolation::Namespaces).read("/opt/qemu");
/// let config = SandboxConfig::new("job-1", "/run/vm", "/boot")?.confinement(confinement);
/// # Ok::<(), qemu_dsl::sandbox::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confinement {
    asked: Option<Isolation>,
    required: Option<Isolation>,
    read: Vec<PathBuf>,
    ids: Option<(u32, u32)>,
    kvm_group: Option<u32>,
}

impl Confinement {
    /// The strongest isolation that the host has.
    pub fn new() -> Self {
        Self::default()
    }

    /// This isolation and no other; a host without it has no plan.
    #[must_use]
    pub fn isolation(mut self, level: Isolation) -> Self {
        self.asked = Some(level);
        self
    }

    /// No plan with less than this.
    #[must_use]
    pub fn require(mut self, level: Isolation) -> Self {
        self.required = Some(level);
        self
    }

    /// Shows QEMU this file or directory in its jail, for reading: what its binary needs beside /usr, and the images that its disk is
    /// made on.
    #[must_use]
    pub fn read(mut self, path: impl Into<PathBuf>) -> Self {
        self.read.push(path.into());
        self
    }

    /// The user and group that QEMU of a root launcher becomes; without this, [`FIRST_UID`](crate::isolation::FIRST_UID).
    #[must_use]
    pub fn ids(mut self, uid: u32, gid: u32) -> Self {
        self.ids = Some((uid, gid));
        self
    }

    /// The group of /dev/kvm, which QEMU of a root launcher keeps under KVM; without this, that with the name `kvm`.
    #[must_use]
    pub fn kvm_group(mut self, gid: u32) -> Self {
        self.kvm_group = Some(gid);
        self
    }

    /// Whether a jail shows this directory whether or not it is a work directory.
    pub(super) fn shows(&self, dir: &Path) -> bool {
        dir.starts_with("/usr") || self.read.iter().any(|path| dir.starts_with(path))
    }

    /// Whether it is known who QEMU of a root launcher becomes.
    pub fn has_ids(&self) -> bool {
        self.ids.is_some()
    }
}

/// The strongest isolation of a host for a configuration, unless one was asked for.
pub(super) fn level(config: &SandboxConfig, facts: &HostFacts) -> Result<Isolation, PlanError> {
    let wanted = &config.confinement;
    // Another user's QEMU is started by `sudo`, which a jail does not let work.
    let by_sudo = config.user.is_some() && !facts.root;
    let has = |level| match level {
        Isolation::None => true,
        _ if facts.os != Os::Linux => false,
        Isolation::Namespaces => facts.unshare || (facts.unshare_user && !facts.root),
        Isolation::Jail => facts.bwrap && !by_sudo,
    };
    let level = match wanted.asked {
        Some(Isolation::Jail) if by_sudo => return Err(PlanError::JailWithUser),
        Some(asked) if !has(asked) => return Err(PlanError::Isolation { asked, remedy: remedy(asked) }),
        Some(asked) => asked,
        None => Isolation::ALL.into_iter().rev().find(|level| has(*level)).unwrap_or(Isolation::None),
    };
    match wanted.required {
        Some(required) if level < required => {
            Err(PlanError::RequiredIsolation { required, level, remedy: remedy(required) })
        }
        _ => Ok(level),
    }
}

fn remedy(level: Isolation) -> &'static str {
    match level {
        Isolation::Jail => {
            "install bubblewrap (Debian: `apt-get install bubblewrap`); --print-facts says why it does not work"
        }
        _ => "let `unshare` work: as root, or with user namespaces; --print-facts says why it does not",
    }
}

/// What is said of a level that is not the strongest.
pub(super) const fn remark(level: Isolation, config: &SandboxConfig, facts: &HostFacts) -> Option<&'static str> {
    match level {
        Isolation::Jail => None,
        Isolation::Namespaces if facts.bwrap => Some(reasons::NAMESPACES_BESIDE_A_JAIL),
        Isolation::Namespaces if config.allow_network => Some(reasons::ONLY_NAMESPACES_AND_NETWORK),
        Isolation::Namespaces => Some(reasons::ONLY_NAMESPACES),
        Isolation::None if facts.bwrap => Some(reasons::NOTHING_BESIDE_A_JAIL),
        Isolation::None => Some(reasons::NO_ISOLATION),
    }
}

/// The words before QEMU: those of each wrapper, outermost first.
pub(super) struct Wrappers<'a> {
    fixed: &'static [&'static str],
    sudo: [&'a str; 5],
    user: UserWrapper,
    made: Vec<OsString>,
    level: Isolation,
}

/// How QEMU becomes another user, and where in the order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UserWrapper {
    No,
    Sudo,
    /// `sudo` before the namespaces: they are made by the other user then.
    SudoFirst,
}

impl<'a> Wrappers<'a> {
    /// The words for a plan that boots the kernel `image`.
    pub(super) fn new(
        config: &'a SandboxConfig,
        facts: &HostFacts,
        level: Isolation,
        image: &Path,
    ) -> Result<Self, PlanError> {
        let kvm = facts.accel == Acceleration::Kvm;
        let dropped = facts.root.then(|| dropped(config, kvm));
        let (mut fixed, mut user) = (&[][..], UserWrapper::No);
        let mut made = Vec::new();
        if level == Isolation::Namespaces && facts.unshare {
            fixed = unshare(config.allow_network);
        } else if level == Isolation::Namespaces {
            fixed = unshare_user(config.allow_network);
            user = UserWrapper::SudoFirst;
        }
        match (level, &config.user, &dropped) {
            (Isolation::Jail, ..) => made = jail(config, [image, config.initramfs(facts.arch)], kvm, dropped.as_ref())?,
            (_, _, Some(dropped)) => {
                user = UserWrapper::No;
                dropped.words(&mut made);
            }
            (_, None, None) => user = UserWrapper::No,
            (_, Some(_), None) if user == UserWrapper::SudoFirst => {}
            (_, Some(_), None) => user = UserWrapper::Sudo,
        }
        let name = config.user.as_deref().unwrap_or_default();
        Ok(Self { fixed, sudo: ["sudo", "-u", name, "stdbuf", "-oL"], user, made, level })
    }

    /// As the builder takes them, with the reason of each.
    pub(super) fn list(&self) -> ([Wrapper<'_>; 3], usize) {
        let empty = Wrapper::new(&[], "");
        let namespaces = Wrapper::new(self.fixed, reasons::UNSHARE);
        let sudo = match self.user {
            UserWrapper::No => None,
            UserWrapper::Sudo => Some(Wrapper::new(&self.sudo, reasons::SUDO)),
            UserWrapper::SudoFirst => Some(Wrapper::new(&self.sudo[..3], reasons::SUDO)),
        };
        let made = match self.level {
            Isolation::Jail => reasons::JAIL,
            Isolation::Namespaces | Isolation::None => reasons::SETPRIV,
        };
        let made = (!self.made.is_empty()).then_some(Wrapper::os(&self.made, made));
        let namespaces = (!self.fixed.is_empty()).then_some(namespaces);
        let in_order = match self.user {
            UserWrapper::SudoFirst => [sudo, namespaces, made],
            UserWrapper::Sudo | UserWrapper::No => [namespaces, sudo, made],
        };
        let mut list = [empty; 3];
        let mut count = 0;
        for wrapper in in_order.into_iter().flatten() {
            list[count] = wrapper;
            count += 1;
        }
        (list, count)
    }
}

/// Who QEMU of a root launcher becomes.
fn dropped(config: &SandboxConfig, kvm: bool) -> Dropped<'_> {
    let wanted = &config.confinement;
    let (user, group) = match (wanted.ids, &config.user) {
        (Some((uid, gid)), _) => (uid.to_string().into(), gid.to_string().into()),
        (None, Some(user)) => (user.as_str().into(), user.as_str().into()),
        (None, None) => return Dropped { extra: kvm_group(config, kvm), ..Dropped::default() },
    };
    Dropped { user, group, extra: kvm_group(config, kvm) }
}

fn kvm_group(config: &SandboxConfig, kvm: bool) -> Option<std::borrow::Cow<'_, str>> {
    kvm.then(|| config.confinement.kvm_group.map_or("kvm".into(), |gid| gid.to_string().into()))
}

/// The jail of the sandbox's QEMU.
fn jail(
    config: &SandboxConfig,
    boots: [&Path; 2],
    kvm: bool,
    dropped: Option<&Dropped<'_>>,
) -> Result<Vec<OsString>, PlanError> {
    let read: Vec<&Path> = boots.into_iter().chain(config.confinement.read.iter().map(PathBuf::as_path)).collect();
    // As the plan names its files: those of the work directory stand in it.
    let dir = config.paths.cmd.parent().unwrap_or(&config.paths.work_dir);
    for path in read.iter().copied().chain([dir]) {
        if !path.is_absolute() {
            return Err(PlanError::Relative { path: path.display().to_string() });
        }
        let is_own = ["/proc", "/sys", "/dev"].iter().any(|own| path.starts_with(own));
        if path.parent().is_none() || is_own {
            return Err(PlanError::NotShown { path: path.display().to_string() });
        }
    }
    // The network of its own that QEMU gets is empty in every mode: its frames go to a socket in the work directory.
    Ok(Jail { network: false, kvm, dir: Some(dir), read, read_if_there: &[], dropped }.words())
}
