//! What control groups do, tried in a guest that has a whole cgroup v2 tree: `cgroups`, as root, with the tree at /sys/fs/cgroup and a
//! disk at /mnt. It prints `ok NAME` for each that does as it should, and else why not; `tests/tests/cgroups.rs` boots the guest.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::launch::{Cause, Cgroup, CgroupError, CgroupLimits, CgroupReport, Ended, Launch};

type Checked = Result<(), Box<dyn std::error::Error>>;

const ROOT: &str = "/sys/fs/cgroup";
const ORDINARY: u32 = 1000;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("as-user") {
        return report("an-ordinary-user", ordinary_user());
    }
    report("not-delegated", not_delegated());
    report("marked", marked());
    report("no-controller", no_controller());
    report("no-tree", no_tree());
    let tree = PathBuf::from(ROOT).join("work");
    report("leaves", leaves(&tree));
    report("memory", memory(&tree));
    report("pids", pids(&tree));
    report("cpu", cpu(&tree));
    report("io", io(&tree));
    report("dropped", dropped(&tree));
    report("user", as_user());
}

fn report(name: &str, checked: Checked) {
    match checked {
        Ok(()) => println!("ok {name}"),
        Err(error) => println!("failed {name}: {error}"),
    }
}

fn expect(is_so: bool, what: impl FnOnce() -> String) -> Checked {
    if is_so { Ok(()) } else { Err(what().into()) }
}

fn shell(script: &str) -> QemuCommand {
    let mut command = QemuCommand::new("/bin/sh").expect("a program");
    command.arg("-c").and_then(|command| command.arg(script)).expect("an argument");
    command
}

/// Runs a script in a new group, for a while at most.
fn limited(
    tree: &Path,
    limits: CgroupLimits,
    script: &str,
    limit: Duration,
) -> Result<(Ended, CgroupReport), Box<dyn std::error::Error>> {
    let group = Cgroup::create(tree, "a-b.c_1", &limits, Path::new("/mnt"))?;
    let command = shell(script);
    let machine = Launch::new(&command).cgroup(&group)?.start()?;
    machine.wait(Instant::now() + limit);
    let ended = machine.end(None)?;
    Ok((ended, group.report()))
}

/// Root's own group is systemd's, or nobody's, unless it says otherwise.
fn not_delegated() -> Checked {
    match Cgroup::delegated() {
        Err(CgroupError::NotDelegated { reason }) if reason.contains("was not delegated") => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// systemd marks what it delegates.
fn marked() -> Checked {
    let tree = PathBuf::from(ROOT).join("work");
    fs::create_dir(&tree)?;
    fs::write(tree.join("cgroup.procs"), "0")?;
    expect(Cgroup::delegated().is_err(), || "it is not marked yet".to_owned())?;
    mark(&tree)?;
    let found = Cgroup::delegated()?;
    expect(found == tree, || found.display().to_string())
}

#[allow(unsafe_code)]
fn mark(tree: &Path) -> Checked {
    let path = std::ffi::CString::new(tree.to_str().ok_or("a path")?)?;
    let (name, value) = (c"trusted.delegate", b"1");
    // SAFETY: both names end with a NUL, and the value has the length that is given; `nix` has no wrapper.
    let done = unsafe { nix::libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

/// A tree whose parent gives it no controllers.
fn no_controller() -> Checked {
    let inner = PathBuf::from(ROOT).join("bare/inner");
    fs::create_dir_all(&inner)?;
    match Cgroup::create(&inner, "x", &CgroupLimits::new().memory(1 << 20), Path::new("/mnt")) {
        Err(CgroupError::NotDelegated { reason }) if reason.contains("no controller `memory`") => {}
        other => return Err(format!("{other:?}").into()),
    }
    expect(fs::read_dir(&inner)?.flatten().all(|entry| !entry.path().is_dir()), || "a group is left".to_owned())
}

fn no_tree() -> Checked {
    match Cgroup::create(Path::new("/tmp"), "x", &CgroupLimits::new(), Path::new("/mnt")) {
        Err(CgroupError::NotDelegated { reason }) if reason.contains("no cgroup v2 tree") => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// The tree has this process in it, which makes way.
fn leaves(tree: &Path) -> Checked {
    let group = Cgroup::create(tree, "x", &CgroupLimits::new().pids(8), Path::new("/mnt"))?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    expect(own.contains("0::/work/launcher"), || own.clone())?;
    expect(fs::read_to_string(group.path().join("pids.max"))?.trim() == "8", || "pids.max".to_owned())
}

fn memory(tree: &Path) -> Checked {
    let limits = CgroupLimits::new().memory(32 << 20);
    let (ended, report) = limited(tree, limits, "tail /dev/zero", Duration::from_mins(1))?;
    expect(ended.cause == Cause::OutOfMemory, || format!("{:?} {:?} {report:?}", ended.cause, ended.status))?;
    expect(report.oom_kills > 0, || format!("{report:?}"))?;
    expect(report.memory_peak.is_none_or(|peak| peak <= 32 << 20 && peak > 16 << 20), || format!("{report:?}"))
}

fn pids(tree: &Path) -> Checked {
    let script = "i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done; wait";
    let (_, report) = limited(tree, CgroupLimits::new().pids(8), script, Duration::from_secs(2))?;
    expect(report.pids_refused > 0, || format!("{report:?}"))
}

fn cpu(tree: &Path) -> Checked {
    let limits = CgroupLimits::new().cpu_percent(10);
    let (_, report) = limited(tree, limits, "while :; do :; done", Duration::from_secs(2))?;
    expect(report.cpu_throttled_usec > 0 && report.cpu_usec < 1_000_000, || format!("{report:?}"))
}

fn io(tree: &Path) -> Checked {
    let limits = CgroupLimits::new().io_bytes(1 << 20).io_operations(100);
    let group = Cgroup::create(tree, "disk", &limits, Path::new("/mnt"))?;
    let set = fs::read_to_string(group.path().join("io.max"))?;
    expect(set.contains("rbps=1048576 wbps=1048576 riops=100 wiops=100"), || set.clone())?;
    drop(group);
    // A file system in memory has no disk.
    let group = Cgroup::create(tree, "memory", &limits, Path::new("/tmp"))?;
    let set = fs::read_to_string(group.path().join("io.max"))?;
    expect(set.is_empty(), || set.clone())
}

/// What is left in a group ends with it, and so does the group.
fn dropped(tree: &Path) -> Checked {
    let group = Cgroup::create(tree, "dropped", &CgroupLimits::new().pids(8), Path::new("/mnt"))?;
    let path = group.path().to_owned();
    let mut child = Command::new("/bin/sleep").arg("600").spawn()?;
    fs::write(path.join("cgroup.procs"), child.id().to_string())?;
    drop(group);
    expect(!path.exists(), || "the group is there still".to_owned())?;
    let status = child.wait()?;
    expect(!status.success(), || format!("{status}"))
}

/// An ordinary user with a tree of his own.
fn as_user() -> Checked {
    let tree = PathBuf::from(ROOT).join("session");
    fs::create_dir(&tree)?;
    for path in [tree.clone(), tree.join("cgroup.procs"), tree.join("cgroup.subtree_control")] {
        chown(path, Some(ORDINARY), Some(ORDINARY))?;
    }
    let mut command = Command::new("/proc/self/exe");
    // It is born here, and goes there before it becomes another.
    fs::write(tree.join("cgroup.procs"), "0")?;
    let status = command.arg("as-user").uid(ORDINARY).gid(ORDINARY).status()?;
    expect(status.success(), || format!("{status}"))
}

fn ordinary_user() -> Checked {
    let tree = Cgroup::delegated()?;
    expect(tree == Path::new(ROOT).join("session"), || tree.display().to_string())?;
    let limits = CgroupLimits::new().memory(32 << 20).pids(16).cpu_percent(50);
    // Root is in it too here, whom this user cannot move: so the tree below.
    match Cgroup::create(&tree, "x", &limits, Path::new("/mnt")) {
        Err(CgroupError::Set { .. }) => {}
        other => return Err(format!("{other:?}").into()),
    }
    let below = tree.join("below");
    fs::create_dir_all(&below)?;
    match Cgroup::create(&PathBuf::from(ROOT).join("work"), "x", &limits, Path::new("/mnt")) {
        Err(CgroupError::Set { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}
