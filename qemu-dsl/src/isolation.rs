//! What a program runs in: the words that stand before it. Pure; `host` tries them, and plans begin with them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// How a sandboxed program is held, from the weakest to the strongest.
///
/// ```
/// use qemu_dsl::isolation::Isolation;
/// assert!(Isolation::Jail > Isolation::Namespaces);
/// assert_eq!("jail".parse(), Ok(Isolation::Jail));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// By QEMU's own seccomp filter alone.
    None,
    /// By namespaces of its own: process ids, mounts, host name, System V IPC, and a network without anything. It sees the host's
    /// file system.
    Namespaces,
    /// By bubblewrap: the same namespaces and one of users, an empty root with what it needs in it, a /dev of its own, no
    /// capability.
    Jail,
}

impl Isolation {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::None, Self::Namespaces, Self::Jail];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Namespaces => "namespaces",
            Self::Jail => "jail",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of an isolation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no isolation: there are none, namespaces and jail", .0.escape_debug())]
pub struct NoIsolation(String);

impl FromStr for Isolation {
    type Err = NoIsolation;

    fn from_str(text: &str) -> Result<Self, NoIsolation> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or_else(|| NoIsolation(text.to_owned()))
    }
}

/// The first user id for sandboxes of a root launcher: systemd's documentation lists the range from here to 2147483647 as unused.
/// (`UIDS-GIDS.md`)
pub const FIRST_UID: u32 = 0x7000_0000;

/// Who a program of a root launcher becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dropped<'a> {
    pub(crate) user: Cow<'a, str>,
    pub(crate) group: Cow<'a, str>,
    /// The one further group that it keeps: that of /dev/kvm.
    pub(crate) extra: Option<Cow<'a, str>>,
}

impl Default for Dropped<'_> {
    fn default() -> Self {
        let first: Cow<'static, str> = FIRST_UID.to_string().into();
        Self { user: first.clone(), group: first, extra: None }
    }
}

impl Dropped<'_> {
    /// `setpriv`, which changes user and group, and ties the program to its parent again: the kernel unties what changes its
    /// user. (`man 1 setpriv`; `man 2 PR_SET_PDEATHSIG`)
    pub(crate) fn words(&self, words: &mut Vec<OsString>) {
        words.extend(["setpriv".into(), format!("--reuid={}", self.user).into()]);
        words.push(format!("--regid={}", self.group).into());
        words.push(self.extra.as_ref().map_or("--clear-groups".into(), |group| format!("--groups={group}").into()));
        words.extend(
            ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--pdeathsig", "KILL", "--"].map(Into::into),
        );
    }
}

/// The `unshare` that a program is started with: process ids, mounts, host name, System V IPC, and without a network of its own
/// unless one is `allowed`. `--kill-child` ends the program when `unshare` ends. (`man 1 unshare`, util-linux 2.32)
pub(crate) const fn unshare(allow_network: bool) -> &'static [&'static str] {
    if allow_network {
        &["unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--"]
    } else {
        &["unshare", "--pid", "--net", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--"]
    }
}

/// The same through a user namespace, for who is not root: the user stays who he is, and is nobody's root there.
pub(crate) const fn unshare_user(allow_network: bool) -> &'static [&'static str] {
    if allow_network {
        &[
            "unshare",
            "--user",
            "--map-current-user",
            "--pid",
            "--mount",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child",
            "--",
        ]
    } else {
        #[rustfmt::skip]
        let words = &[
            "unshare", "--user", "--map-current-user", "--pid", "--net", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--",
        ];
        words
    }
}

/// A root directory with nothing in it but what a program needs, made by bubblewrap. (`man 1 bwrap`, 0.5)
///
/// A root launcher's program first gets its mounts, and then another user: so it can be shown a file in a directory that only
/// root enters. Its user namespace is made last, by itself, and has no power over these mounts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jail<'a> {
    /// Whether it has the host's network.
    pub(crate) network: bool,
    /// Whether it runs guests under KVM.
    pub(crate) kvm: bool,
    /// The directory that it may write to, where it also runs.
    pub(crate) dir: Option<&'a Path>,
    /// Files and directories that it may read.
    pub(crate) read: Vec<&'a Path>,
    /// The same, where they are there.
    pub(crate) read_if_there: &'a [&'a str],
    /// Who it becomes; the launcher's own user without this.
    pub(crate) dropped: Option<&'a Dropped<'a>>,
}

impl Jail<'_> {
    /// Everything that stands before the program.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::with_capacity(96);
        words.push("bwrap".into());
        if self.dropped.is_none() {
            words.push("--unshare-user".into());
        }
        words.extend(["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"].map(Into::into));
        if !self.network {
            words.push("--unshare-net".into());
        }
        // A session of its own: what has a terminal can type into it. (TIOCSTI)
        words.extend(["--die-with-parent", "--new-session", "--cap-drop", "ALL"].map(Into::into));
        if self.dropped.is_some() {
            for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
                words.extend(["--cap-add".into(), capability.into()]);
            }
        }
        self.environment(&mut words);
        // As on all systems whose /bin and /lib are in /usr; where they are not, trying this finds out.
        words.extend(["--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib"].map(Into::into));
        words.extend(["--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin"].map(Into::into));
        words.extend(["--dir", "/etc"].map(Into::into));
        for path in ["/etc/ld.so.cache", "/etc/alternatives"].iter().chain(self.read_if_there) {
            words.extend(["--ro-bind-try", path, path].map(Into::into));
        }
        words.extend(["--dev", "/dev"].map(Into::into));
        if self.kvm {
            words.extend(["--dev-bind", "/dev/kvm", "/dev/kvm"].map(Into::into));
        }
        words.extend(["--remount-ro", "/dev", "--proc", "/proc"].map(Into::into));
        // What stands in a directory that is shown anyway is: a mount of its own would have to be made in that.
        let is_covered = |path: &Path| self.read.iter().any(|other| *other != path && path.starts_with(other));
        for (index, path) in self.read.iter().enumerate() {
            if !is_covered(path) && !self.read[..index].contains(path) {
                self.shown("--ro-bind", path, &mut words);
            }
        }
        if let Some(dir) = self.dir {
            self.shown("--bind", dir, &mut words);
            words.extend(["--chdir".into(), dir.into()]);
        }
        words.extend(["--remount-ro", "/", "--"].map(Into::into));
        if let Some(dropped) = self.dropped {
            dropped.words(&mut words);
            words.extend(["unshare", "--user", "--map-current-user", "--"].map(Into::into));
        }
        words
    }

    fn environment(&self, words: &mut Vec<OsString>) {
        words.push("--clearenv".into());
        for (key, value) in ENVIRONMENT {
            words.extend(["--setenv", key, value].map(Into::into));
        }
        if let Some(dir) = self.dir {
            words.extend(["--setenv".into(), "TMPDIR".into(), dir.into()]);
        }
    }

    /// Binds a path where it is. Its directories are made by `--dir`, which lets others enter them; those that `--bind` makes are
    /// for their owner.
    fn shown(&self, how: &str, path: &Path, words: &mut Vec<OsString>) {
        let dir = if how == "--bind" { Some(path) } else { path.parent() };
        let made = dir.filter(|dir| !dir.starts_with("/usr") && !self.read.iter().any(|read| dir.starts_with(read)));
        if let Some(dir) = made.filter(|dir| dir.parent().is_some())
            && !words.windows(2).any(|pair| pair[0] == "--dir" && pair[1] == *dir)
        {
            words.extend(["--dir".into(), dir.into()]);
        }
        words.extend([how.into(), path.into(), path.into()]);
    }
}

/// The very calls that plans begin with, by the names of the facts that say whether they work. `host` tries each with `true` at its
/// end.
#[cfg(feature = "host")]
pub(crate) fn attempts(allow_network: bool, root: bool) -> Vec<(&'static str, Vec<OsString>)> {
    let dropped = root.then(Dropped::default);
    let mut plain: Vec<OsString> = unshare(allow_network).iter().map(Into::into).collect();
    if let Some(dropped) = &dropped {
        dropped.words(&mut plain);
    }
    let through_user = unshare_user(allow_network).iter().map(Into::into).collect();
    let jail = Jail { dropped: dropped.as_ref(), ..Jail::default() }.words();
    let mut attempts = vec![("unshare", plain), ("bwrap", jail)];
    if !root {
        attempts.push(("unshare_user", through_user));
    }
    attempts
}

/// The environment of what is held; what a caller's holds may be secret, and names files.
pub(crate) const ENVIRONMENT: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8")];
