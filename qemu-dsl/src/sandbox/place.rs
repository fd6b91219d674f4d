//! Where a sandbox is on its host: its directory, and who its QEMU is.

use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::config::{VmId, WORK_FILES};
use super::confinement::Confinement;
use crate::facts::HostFacts;
use crate::isolation::FIRST_UID;
use crate::launch::{WorkDir, WorkDirError};

/// A sandbox's work directory, and the user that its QEMU becomes, for as long as this is there. A root launcher's QEMU has a user
/// of its own, which no other sandbox on the host has at the same time.
///
/// ```
/// use qemu_dsl::HostFacts;
/// use qemu_dsl::sandbox::{Confinement, Place, SandboxConfig};
///
/// let facts = HostFacts::example();
/// let place = Place::new().parent(std::env::temp_dir()).make(&"job-1".parse()?, &facts)?;
/// let config = SandboxConfig::new("job-1", place.path(), "/usr/lib/sandbox")?;
/// let config = config.confinement(place.confinement(Confinement::new()));
/// // The disk is made, and then QEMU may have it:
/// // make_overlay(&config.paths().overlay)?;
/// // place.hand_over()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Place {
    dir: WorkDir,
    /// User and group, of a root launcher.
    ids: Option<(u32, u32)>,
    /// User and group that share the directory.
    user: Option<(u32, u32)>,
    /// Where the next one is made, and of which users.
    parent: Option<PathBuf>,
    uids: RangeInclusive<u32>,
    #[cfg(target_os = "linux")]
    _lease: Option<crate::launch::UserId>,
}

/// What a place is to be.
#[derive(Debug, Clone)]
pub struct PlaceOptions {
    parent: Option<PathBuf>,
    dir: Option<PathBuf>,
    user: Option<String>,
    uids: RangeInclusive<u32>,
}

/// Why there is no place for a sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// There is no directory for it.
    #[error(transparent)]
    WorkDir(#[from] WorkDirError),
    /// There is no user id for it.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    UserId(#[from] crate::launch::UserIdError),
    /// There is no such user.
    #[error("there is no user `{}`: make one with `useradd --system NAME`, or name another", user.escape_debug())]
    NoUser {
        /// The name.
        user: String,
    },
    /// QEMU would be root.
    #[error("`{}` is root, which QEMU is never to be: name another user", user.escape_debug())]
    Root {
        /// The name.
        user: String,
    },
    /// Root was expected.
    #[error("the facts say that the launcher is root, and it is not: leave `root` out of them")]
    NotRoot,
}

impl Place {
    /// A new directory, in [`work_parent`], and a user of the usual range.
    #[must_use]
    #[allow(clippy::new_ret_no_self)] // it is the first step of making one
    pub fn new() -> PlaceOptions {
        PlaceOptions { parent: None, dir: None, user: None, uids: FIRST_UID..=FIRST_UID + 0xffff }
    }

    /// The work directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The directory itself, to make files in.
    pub fn dir(&self) -> &WorkDir {
        &self.dir
    }

    /// The user and group of a root launcher's QEMU.
    pub fn ids(&self) -> Option<(u32, u32)> {
        self.ids
    }

    /// The user and group of QEMU, where they are not this process's own.
    pub fn user(&self) -> Option<(u32, u32)> {
        self.user
    }

    /// A place for what runs beside QEMU, in the same parent directory, with a user of its own.
    pub(super) fn beside(&self, facts: &HostFacts) -> Result<Self, PlaceError> {
        let options = PlaceOptions { parent: self.parent.clone(), dir: None, user: None, uids: self.uids.clone() };
        options.make(&VmId::gvproxy(), facts)
    }

    /// Lets what runs here as another user have the directory.
    pub(super) fn share(&self) -> Result<(), WorkDirError> {
        self.user.map_or(Ok(()), |(_, group)| self.dir.give_to_group(group, &[]))
    }

    /// A confinement with what this place decides: QEMU's user, and the group that lets it use KVM.
    #[must_use]
    pub fn confinement(&self, confinement: Confinement) -> Confinement {
        let Some((uid, gid)) = self.ids else { return confinement };
        let confinement = confinement.ids(uid, gid);
        match std::fs::metadata("/dev/kvm") {
            Ok(kvm) => confinement.kvm_group(kvm.gid()),
            Err(_) => confinement,
        }
    }

    /// Lets QEMU have the directory and its disk, where it runs as another user. The last thing before it starts: nothing in the
    /// directory can be relied on from then on.
    ///
    /// # Errors
    ///
    /// [`WorkDirError::Give`].
    pub fn hand_over(&self) -> Result<(), WorkDirError> {
        self.user.map_or(Ok(()), |(_, group)| self.dir.give_to_group(group, &["overlay.qcow2"]))
    }
}

impl PlaceOptions {
    /// Makes the new directory there.
    #[must_use]
    pub fn parent(mut self, parent: impl Into<PathBuf>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// Uses this directory, which stays, instead of a new one.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The user that QEMU becomes.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The user ids that a root launcher may give to sandboxes.
    #[must_use]
    pub fn uids(mut self, uids: RangeInclusive<u32>) -> Self {
        self.uids = uids;
        self
    }

    /// Makes the directory, and takes a user id.
    ///
    /// # Errors
    ///
    /// [`PlaceError`]; nothing is left then.
    pub fn make(self, vm_id: &VmId, facts: &HostFacts) -> Result<Place, PlaceError> {
        if facts.root && !nix::unistd::geteuid().is_root() {
            return Err(PlaceError::NotRoot);
        }
        let named = self.user.as_deref().map(named).transpose()?;
        #[cfg(target_os = "linux")]
        let lease = match named {
            None if facts.root => Some(crate::launch::UserId::lease(self.uids.clone())?),
            _ => None,
        };
        #[cfg(target_os = "linux")]
        let leased = lease.as_ref().map(|user| (user.uid(), user.uid()));
        #[cfg(not(target_os = "linux"))]
        let leased = None;
        let user = named.or(leased);
        let dir = if let Some(dir) = &self.dir {
            WorkDir::open(dir)?
        } else {
            let parent = self.parent.clone().unwrap_or_else(|| work_parent(facts).0);
            WorkDir::create(&parent, vm_id.short())?
        };
        if self.dir.is_some() {
            // What an earlier machine has left under the names of this one's files, whatever it made of them.
            for name in WORK_FILES.into_iter().filter(|name| *name != "overlay.qcow2") {
                dir.remove(name)
                    .map_err(|source| WorkDirError::Open { path: dir.path().display().to_string(), source })?;
            }
        }
        Ok(Place {
            dir,
            ids: user.filter(|_| facts.root),
            user,
            parent: self.parent,
            uids: self.uids,
            #[cfg(target_os = "linux")]
            _lease: lease,
        })
    }
}

/// A user's numbers.
fn named(user: &str) -> Result<(u32, u32), PlaceError> {
    match nix::unistd::User::from_name(user) {
        Ok(Some(found)) if found.uid.is_root() => Err(PlaceError::Root { user: user.to_owned() }),
        Ok(Some(found)) => Ok((found.uid.as_raw(), found.gid.as_raw())),
        _ => Err(PlaceError::NoUser { user: user.to_owned() }),
    }
}

/// The directory for new work directories: the session's own (`XDG_RUNTIME_DIR`), or the system's for temporary files; and what is to
/// be said about it. The session's is passed over where it is another user's, as after `su`, and for a root launcher, whose QEMU
/// could not enter it. (XDG Base Directory Specification)
pub fn work_parent(facts: &HostFacts) -> (PathBuf, Option<String>) {
    // A variable that is set to nothing is not set.
    let mut temporary = std::env::temp_dir();
    if temporary.as_os_str().is_empty() {
        temporary = PathBuf::from("/tmp");
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    let Some(runtime) = runtime else { return (temporary, None) };
    let note =
        |why: String| Some(format!("XDG_RUNTIME_DIR, `{}`, {why}: {} is used", runtime.display(), temporary.display()));
    match std::fs::metadata(&runtime) {
        _ if facts.root => (temporary, None),
        _ if !runtime.is_absolute() => (temporary.clone(), note("is relative".to_owned())),
        Ok(data) if !data.is_dir() => (temporary.clone(), note("is no directory".to_owned())),
        Ok(data) if data.uid() != nix::unistd::geteuid().as_raw() => {
            (temporary.clone(), note(format!("belongs to user {}", data.uid())))
        }
        Ok(data) if data.mode() & 0o022 != 0 => (temporary.clone(), note("can be written by others".to_owned())),
        Ok(_) => (runtime, None),
        Err(error) => (temporary.clone(), note(format!("cannot be used ({error})"))),
    }
}
