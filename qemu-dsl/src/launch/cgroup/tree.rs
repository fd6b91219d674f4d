//! Trees that groups can be made in: where they are, whose they are, and what they have.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::error::CgroupError;
use super::limits::Controller;

/// The group, in a tree, that this process moves itself into.
const LAUNCHER: &str = "launcher";
/// How many processes an error names.
const NAMED: usize = 3;
/// What to do about version 1.
const VERSION_2: &str =
    "for limits it has to be version 2 that does (start the host's kernel with `systemd.unified_cgroup_hierarchy=1`)";

fn none(reason: String) -> CgroupError {
    CgroupError::NotDelegated { reason }
}

/// The tree that was delegated to this process.
pub(super) fn delegated() -> Result<PathBuf, CgroupError> {
    let own = own_group()?;
    // It has made way for a group before.
    if own.ends_with(LAUNCHER)
        && let Some(tree) = own.parent()
        && check_delegated(tree).is_ok()
    {
        return Ok(tree.to_owned());
    }
    check_delegated(&own).map(|()| own)
}

fn check_delegated(tree: &Path) -> Result<(), CgroupError> {
    check(tree)?;
    let data = tree.metadata().map_err(|error| none(format!("`{}`: {error}", tree.display())))?;
    let user = nix::unistd::geteuid();
    let own = !user.is_root() && data.uid() == user.as_raw();
    if !own && !is_marked(tree) {
        let old: Vec<&str> = [Controller::Memory, Controller::Pids, Controller::Cpu, Controller::Io]
            .into_iter()
            .filter(|controller| !has(tree, *controller) && is_of_version_1(*controller))
            .map(Controller::name)
            .collect();
        if !old.is_empty() {
            return Err(none(format!(
                "of this host's controllers, cgroup version 1 has {}: {VERSION_2}",
                old.join(", ")
            )));
        }
        return Err(none(format!("`{}` was not delegated to this process: start it with {}", tree.display(), scope())));
    }
    for file in ["cgroup.procs", "cgroup.subtree_control"] {
        let path = tree.join(file);
        if let Err(error) = OpenOptions::new().write(true).open(&path) {
            return Err(none(format!("`{}`, of a tree of this user's, cannot be written: {error}", path.display())));
        }
    }
    Ok(())
}

/// How to get a tree.
fn scope() -> &'static str {
    if nix::unistd::geteuid().is_root() {
        "`systemd-run --scope -p Delegate=yes PROGRAM`"
    } else {
        "`systemd-run --user --scope -p Delegate=yes PROGRAM`"
    }
}

pub(super) fn check(tree: &Path) -> Result<(), CgroupError> {
    match statfs(tree) {
        Ok(kind) if kind.filesystem_type() == CGROUP2_SUPER_MAGIC => Ok(()),
        Ok(_) => Err(none(format!("`{}` is no cgroup v2 tree", tree.display()))),
        Err(error) => Err(none(format!("`{}`: {}", tree.display(), io::Error::from(error)))),
    }
}

/// The directory of this process's group.
fn own_group() -> Result<PathBuf, CgroupError> {
    let file = |name: &str| std::fs::read(name).map_err(|error| none(format!("`{name}`: {error}")));
    let groups = file("/proc/self/cgroup")?;
    // No group has a line break in its name: the kernel refuses it.
    let own = groups.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"));
    let own = own.ok_or_else(|| none("this process is in no group of version 2".to_owned()))?;
    let own = Path::new(OsStr::from_bytes(own));
    let mounts = file("/proc/self/mountinfo")?;
    let mut is_mounted = false;
    for (root, point) in mounts.split(|byte| *byte == b'\n').filter_map(mount) {
        is_mounted = true;
        // A mount may show a part of the tree only.
        if let Ok(below) = own.strip_prefix(root) {
            let path = if below.as_os_str().is_empty() { point } else { point.join(below) };
            if check(&path).is_ok() {
                return Ok(path);
            }
        }
    }
    Err(none(if is_mounted {
        format!("no cgroup v2 file system that is mounted here shows this process's group, `{}`", own.display())
    } else {
        "no cgroup v2 file system is mounted (usually at /sys/fs/cgroup)".to_owned()
    }))
}

/// What a mount of a cgroup v2 file system shows, and where it is. (`man 5 proc_pid_mountinfo`)
fn mount(line: &[u8]) -> Option<(PathBuf, PathBuf)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (root, point) = (fields.nth(3)?, fields.next()?);
    fields.find(|field| *field == b"-")?;
    (fields.next()? == b"cgroup2").then(|| (unescaped(root), unescaped(point)))
}

/// A path in which `\040` stands for a space.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let number = behind.get(..3).filter(|_| first == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        if let Some(byte) = number.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            path.push(byte);
            rest = &behind[3..];
        } else {
            path.push(first);
            rest = behind;
        }
    }
    OsString::from_vec(path).into()
}

/// Whether systemd has marked a group as delegated. (systemd: "Control Group APIs and Delegation")
fn is_marked(path: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| xattr(path, name).is_some_and(|value| value == b"1"))
}

/// Whether groups below `tree` can have a controller.
pub(super) fn has(tree: &Path, controller: Controller) -> bool {
    lists(&tree.join("cgroup.controllers"), controller)
}

fn lists(file: &Path, controller: Controller) -> bool {
    read(file).split_ascii_whitespace().any(|name| name == controller.name())
}

/// Whether version 1 has a controller, which version 2 then has not.
fn is_of_version_1(controller: Controller) -> bool {
    let groups = read(Path::new("/proc/self/cgroup"));
    let mut names = groups.lines().filter_map(|line| line.split(':').nth(1)).flat_map(|names| names.split(','));
    names.any(|name| name == controller.old_name())
}

/// Why `tree` has no such controller.
pub(super) fn missing(tree: &Path, controller: Controller) -> CgroupError {
    let mut above = tree.ancestors().skip(1).take_while(|group| check(group).is_ok());
    let reason = if is_of_version_1(controller) {
        format!("cgroup version 1 has it: {VERSION_2}")
    } else if let Some(group) = above.find(|group| has(group, controller)) {
        format!(
            "`{}` does not hand it down (`cgroup.subtree_control`); to users' sessions, systemd does with `Delegate={controller}` for user@.service",
            group.display()
        )
    } else {
        "this host's kernel has none, or it is switched off".to_owned()
    };
    CgroupError::NoController { tree: tree.display().to_string(), controller, reason }
}

/// A process gets into a group only where this user may write to `cgroup.procs` of the lowest group that holds both that one and its
/// old one. Who is in the tree itself may.
pub(super) fn check_way_into(tree: &Path) -> Result<(), CgroupError> {
    // Whoever cannot see where this process is leaves the answer to the kernel.
    let Some(own) = own_group().ok().and_then(|own| own.canonicalize().ok()) else { return Ok(()) };
    let Ok(whole) = tree.canonicalize() else { return Ok(()) };
    let Some(above) = own.ancestors().find(|group| whole.starts_with(group) && check(group).is_ok()) else {
        return Ok(());
    };
    match OpenOptions::new().write(true).open(above.join("cgroup.procs")) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(CgroupError::Outside {
            tree: tree.display().to_string(),
            own: own.display().to_string(),
            above: above.display().to_string(),
        }),
        _ => Ok(()),
    }
}

/// Lets groups below `tree` have the controllers.
pub(super) fn enable(tree: &Path, controllers: &[Controller]) -> Result<(), CgroupError> {
    let file = tree.join("cgroup.subtree_control");
    let missing: Vec<String> = controllers
        .iter()
        .filter(|controller| !lists(&file, **controller))
        .map(|controller| format!("+{controller}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let all = missing.join(" ");
    // Only the whole tree's first group, which has no type, can have both. Elsewhere memory and io are refused; the others make
    // the groups below it ones that no process can be in.
    let is_first = !tree.join("cgroup.type").exists();
    if is_first || processes(tree).next().is_none() {
        return write(&file, &all).map_err(|error| occupied_or(error, tree));
    }
    // This process is in it, at best.
    if let Some(error) = occupied(tree) {
        return Err(error);
    }
    let leaf = tree.join(LAUNCHER);
    match std::fs::create_dir(&leaf) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(CgroupError::Make { path: leaf.display().to_string(), source });
        }
        _ => {}
    }
    // "0" is whoever writes.
    let moved = write(&leaf.join("cgroup.procs"), "0");
    moved.and_then(|()| write(&file, &all)).map_err(|error| {
        // Nothing is left: neither this process there, nor the group.
        let _ = write(&tree.join("cgroup.procs"), "0");
        let _ = std::fs::remove_dir(&leaf);
        occupied_or(error, tree)
    })
}

/// What an error means, where a process has come into the tree meanwhile.
fn occupied_or(error: CgroupError, tree: &Path) -> CgroupError {
    match &error {
        CgroupError::Set { source, .. } if source.raw_os_error() == Some(nix::libc::EBUSY) => {
            occupied(tree).unwrap_or(error)
        }
        _ => error,
    }
}

/// The error for a tree with other processes than this one.
fn occupied(tree: &Path) -> Option<CgroupError> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let others: Vec<i32> = processes(tree).filter(|pid| *pid != own).collect();
    if others.is_empty() {
        return None;
    }
    let mut named: Vec<String> = others.iter().take(NAMED).map(|pid| name(*pid)).collect();
    if others.len() > NAMED {
        named.push(format!("and {} more", others.len() - NAMED));
    }
    let processes = named.join(", ");
    Some(CgroupError::Occupied { tree: tree.display().to_string(), processes, remedy: scope() })
}

/// The processes in a group; those of other process namespaces are 0.
pub(super) fn processes(group: &Path) -> impl Iterator<Item = i32> + use<> {
    let text = read(&group.join("cgroup.procs"));
    text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>().into_iter()
}

/// A process, for people.
fn name(pid: i32) -> String {
    let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    match crate::text::visible_line(name.trim_ascii_end()) {
        _ if pid == 0 => "one of another process namespace".to_owned(),
        name if name.is_empty() => pid.to_string(),
        name => format!("{pid} ({name})"),
    }
}

pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

pub(super) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    let written = OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    written.map_err(|source| CgroupError::Set { path: path.display().to_string(), value: value.to_owned(), source })
}

/// An extended attribute. (`man 2 getxattr`)
#[allow(unsafe_code)]
fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let name = std::ffi::CString::new(name).ok()?;
    let mut value = [0_u8; 16];
    // SAFETY: both names end with a NUL, and the kernel writes at most so many bytes as the buffer has; `nix` has no wrapper.
    let length = unsafe { nix::libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(length).ok().map(|length| value[..length].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_those_of_version_2() {
        let shown = |line: &str| {
            let (root, point) = mount(line.as_bytes())?;
            Some((root.to_str()?.to_owned(), point.to_str()?.to_owned()))
        };
        let pair = |root: &str, point: &str| Some((root.to_owned(), point.to_owned()));
        let unified = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(shown(unified), pair("/", "/sys/fs/cgroup"));
        let part = r"612 608 0:27 /docker/a\040b /my\134groups ro - cgroup2 cgroup rw";
        assert_eq!(shown(part), pair("/docker/a b", r"/my\groups"));
        for other in [
            "40 33 0:35 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            "40 33 0:35 / /cgroup2 rw - tmpfs cgroup2 rw",
            "40 33 0:35 / /x rw cgroup2",
            "40 33",
            "",
        ] {
            assert_eq!(shown(other), None, "{other}");
        }
        assert_eq!(unescaped(br"a\04"), Path::new(r"a\04"));
        assert_eq!(unescaped(br"a\999\400"), Path::new(r"a\999\400"));
    }
}
