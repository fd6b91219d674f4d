//! What the answers of the probes depend on: while it is the same, so are they.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::ProbeOptions;
use crate::programs::{find, is_program};

/// The version of what is remembered: another one is another basis.
const VERSION: u32 = 2;

/// What the kernel lets its users do with namespaces.
const SETTINGS: [&str; 8] = [
    "user/max_user_namespaces",
    "user/max_pid_namespaces",
    "user/max_mnt_namespaces",
    "user/max_net_namespaces",
    "user/max_ipc_namespaces",
    "user/max_uts_namespaces",
    "kernel/apparmor_restrict_unprivileged_userns",
    "kernel/unprivileged_userns_clone",
];

/// Everything that an answer depends on, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Basis {
    /// Which QEMU is asked, and what for.
    subject: String,
    /// What holds.
    text: String,
    /// Whether it can be recognized by another process, too.
    lasting: bool,
}

impl Basis {
    /// What holds at this moment. Nothing is started for it.
    pub(super) fn now(options: &ProbeOptions, qemu: &OsStr) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let program = find(qemu).filter(|path| is_program(path));
        let lasting = boot.is_some() && program.is_some();
        let user = nix::unistd::geteuid();
        let mut text = format!(
            "version {VERSION} of qemu-dsl {}\nboot {}\nuser {user}, groups {}\n",
            env!("CARGO_PKG_VERSION"),
            boot.unwrap_or_default().trim(),
            groups(),
        );
        let named = program.as_deref().map_or(qemu, Path::as_os_str);
        let subject = format!(
            "QEMU {}, emulation {}, network {}",
            named.as_bytes().escape_ascii(),
            options.force_emulation,
            options.allow_network
        );
        // Writing into a `String` does not fail.
        let _ = writeln!(text, "{subject}\n{}", file(named.as_ref()));
        for path in ["/dev/kvm", "/sys/module/kvm"] {
            let _ = writeln!(text, "{path} {}", file(path.as_ref()));
        }
        for program in ["unshare", "bwrap", "setpriv"] {
            let found = find(program.as_ref()).unwrap_or_default();
            let _ = writeln!(text, "{program} {} {}", found.display(), file(&found));
        }
        for setting in SETTINGS {
            let value = std::fs::read_to_string(Path::new("/proc/sys").join(setting)).unwrap_or_default();
            let _ = writeln!(text, "{setting} {}", value.trim());
        }
        text.push_str(&confinement());
        Self { subject, text, lasting }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The same for every basis of the same question.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether answers can be kept for other processes: the boot and the binary are known.
    pub(super) fn is_lasting(&self) -> bool {
        self.lasting
    }
}

/// What this thread may do, which what it starts inherits: seccomp filters, capabilities, namespaces, users, root directory, a security
/// module's label. One shell may make namespaces, and another one of the same user not. (`man 5 proc_pid_status`)
fn confinement() -> String {
    const FIELDS: [&str; 7] =
        ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"];
    let own = Path::new("/proc/thread-self");
    let read = |name: &str| std::fs::read_to_string(own.join(name)).unwrap_or_default();
    let status = read("status");
    let mut lines: Vec<String> =
        status.lines().filter(|line| FIELDS.iter().any(|field| line.starts_with(field))).map(str::to_owned).collect();
    let mut namespaces: Vec<String> = std::fs::read_dir(own.join("ns"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string()))
        .collect();
    namespaces.sort_unstable();
    lines.extend(namespaces);
    for name in ["uid_map", "gid_map", "attr/current"] {
        lines.push(format!("{name} {}", read(name).trim_matches(['\0', '\n', ' '])));
    }
    lines.push(root_directory());
    lines.join("\n")
}

/// Which directory is the root here, and of which mount: the kernel makes no user namespaces for who is in a `chroot`.
/// (`man 2 unshare`, EPERM; `man 5 proc_pid_fdinfo`)
fn root_directory() -> String {
    let described = || {
        let root = std::fs::File::open("/").ok()?;
        let data = root.metadata().ok()?;
        let info = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", root.as_raw_fd())).ok()?;
        let mount = info.lines().find(|line| line.starts_with("mnt_id:"))?;
        Some(format!("root {}:{} {mount}", data.dev(), data.ino()))
    };
    described().unwrap_or_default()
}

/// What tells a file from the one that stood there before.
fn file(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(data) => format!(
            "device {} inode {} mode {:o} owner {}:{} size {} modified {}.{:09}",
            data.dev(),
            data.ino(),
            data.mode(),
            data.uid(),
            data.gid(),
            data.size(),
            data.mtime(),
            data.mtime_nsec(),
        ),
        Err(error) => error.kind().to_string(),
    }
}

#[cfg(target_os = "linux")]
fn groups() -> String {
    let groups = nix::unistd::getgroups().unwrap_or_default();
    groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Nothing that is probed elsewhere depends on groups.
#[cfg(not(target_os = "linux"))]
fn groups() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_user_or_question_is_another_basis() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("qemu");
        let write = |text: &str| {
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        };
        let options = ProbeOptions::new();
        let now = |options: &ProbeOptions| Basis::now(options, program.as_os_str());
        assert!(!now(&options).is_lasting(), "there is no such program");
        write("a");
        let before = now(&options);
        assert_eq!(before, now(&options));
        assert_eq!(before.is_lasting(), cfg!(target_os = "linux"));
        assert_ne!(before, now(&options.clone().allow_network(true)));
        assert_ne!(before, now(&options.clone().force_emulation(true)));
        write("ab");
        assert_ne!(before, now(&options), "another size");
    }
}
