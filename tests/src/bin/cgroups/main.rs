//! What control groups do, tried in a guest that has a whole cgroup v2 tree: `cgroups`, as root, with the tree at /sys/fs/cgroup, and
//! a partition of the disk /dev/vda at /mnt. It prints `ok NAME` for each that does as it should, and else why not;
//! `tests/tests/cgroups.rs` boots the guest. `cgroups in GROUP USER CHECK` is one check, by a process of that group and user.

mod effects;

use std::error::Error;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgid, setuid};
use qemu_dsl::QemuCommand;
use qemu_dsl::launch::{Cgroup, CgroupError, CgroupLimits, Controller, Launch};

use effects::{
    cpu, dropped, dropped_without_kill, io, io_holds, memory, memory_at_once, nothing_is_left, owner, pids, swept,
};

type Checked = Result<(), Box<dyn Error>>;
type Check = fn() -> Checked;

const ROOT: &str = "/sys/fs/cgroup";
const DISK: &str = "/mnt";
const ORDINARY: u32 = 1000;
/// What makes a tree an ordinary user's.
const OWN: [&str; 3] = ["", "cgroup.procs", "cgroup.subtree_control"];
/// What needs a process of its own.
const PARTS: [(&str, Check); 12] = [
    ("unmarked", || refused(&["was not delegated", "`systemd-run --scope -p Delegate=yes"])),
    ("marked", marked),
    ("own-tree", own_tree),
    ("not-own", || refused(&["was not delegated", "`systemd-run --user --scope"])),
    ("half-own", || refused(&["cgroup.procs", "cannot be written"])),
    ("outside", outside),
    ("occupied", occupied),
    ("elsewhere", || expect_tree("/elsewhere")),
    ("namespace", namespace),
    ("hidden", || refused(&["no cgroup v2 file system that is mounted here", "`/hidden`"])),
    ("unmounted", || refused(&["no cgroup v2 file system is mounted"])),
    ("owner", owner),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => all(),
        ["version-1"] => report("version-1", version_1()),
        ["in", group, user, check] => {
            if let Err(error) = part(group, user, check) {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
        _ => return ExitCode::from(64),
    }
    ExitCode::SUCCESS
}

fn all() {
    let tree = Path::new(ROOT).join("work");
    fs::create_dir(&tree).expect("a group can be made");
    report("unmarked", is_so_in("unmarked", "unmarked"));
    report("marked-by-the-user", in_marked(c"user.delegate", "by-user"));
    report("marked-by-root", in_marked(c"trusted.delegate", "by-root"));
    report("own-tree", in_own("session", &OWN, "session", "own-tree"));
    report("not-own", in_own("strange", &[], "strange", "not-own"));
    report("half-own", in_own("half", &OWN[..1], "half", "half-own"));
    report("outside", in_own("far", &OWN, "work", "outside"));
    report("occupied", is_so_in("occupied", "occupied"));
    report("elsewhere", mounted("elsewhere", "mkdir /elsewhere && mount --bind . /elsewhere && umount /sys/fs/cgroup"));
    report("namespace", mounted("namespace", ":"));
    report("hidden", mounted("hidden", "mkdir /other && mount --bind ../work /other && umount /sys/fs/cgroup"));
    report("unmounted", mounted("unmounted", "umount /sys/fs/cgroup"));
    report("no-controller", no_controller());
    report("no-tree", no_tree());
    report("names", names(&tree));
    report("values", values(&tree));
    report("gone", gone(&tree));
    report("memory", memory(&tree));
    report("memory-at-once", memory_at_once(&tree));
    report("pids", pids(&tree));
    report("cpu", cpu(&tree));
    report("io", io(&tree));
    report("io-holds", io_holds(&tree));
    report("dropped", dropped(&tree));
    report("dropped-without-kill", dropped_without_kill(&tree));
    report("swept", swept(&tree));
    report("nothing-is-left", nothing_is_left(&tree));
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

/// Becomes what a check wants to be, unless it is that already.
fn part(group: &str, user: &str, check: &str) -> Checked {
    if group != "-" {
        fs::write(Path::new(ROOT).join(group).join("cgroup.procs"), "0")?;
    }
    let user = user.parse()?;
    setgid(Gid::from_raw(user))?;
    setuid(Uid::from_raw(user))?;
    let (_, check) = PARTS.iter().find(|(name, _)| *name == check).ok_or("no such check")?;
    check()
}

fn command_in(group: &str, user: u32, check: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["in", group, &user.to_string(), check]);
    command
}

fn passes(command: &mut Command) -> Checked {
    let output = command.output()?;
    expect(output.status.success(), || format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// Runs a check as root in a new group.
fn is_so_in(group: &str, check: &str) -> Checked {
    fs::create_dir(Path::new(ROOT).join(group))?;
    passes(&mut command_in(group, 0, check))
}

/// The same where systemd has marked the group.
fn in_marked(mark: &CStr, group: &str) -> Checked {
    let tree = Path::new(ROOT).join(group);
    fs::create_dir(&tree)?;
    set_mark(&tree, mark)?;
    passes(&mut command_in(group, 0, "marked"))
}

#[allow(unsafe_code)]
fn set_mark(tree: &Path, name: &CStr) -> Checked {
    let path = CString::new(tree.to_str().ok_or("a path")?)?;
    let value = b"1";
    // SAFETY: both names end with a NUL, and the value has the length that is given; `nix` has no wrapper.
    let done = unsafe { nix::libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

/// Runs a check as an ordinary user, who has these files of a new group, in this or another group.
fn in_own(tree: &str, files: &[&str], group: &str, check: &str) -> Checked {
    let tree = Path::new(ROOT).join(tree);
    fs::create_dir(&tree)?;
    for file in files {
        chown(tree.join(file), Some(ORDINARY), Some(ORDINARY))?;
    }
    passes(&mut command_in(group, ORDINARY, check))
}

/// Runs a check as root in a marked group of its name, where the tree is mounted in another way.
fn mounted(check: &str, script: &str) -> Checked {
    let tree = Path::new(ROOT).join(check);
    fs::create_dir(&tree)?;
    set_mark(&tree, c"trusted.delegate")?;
    // It gets into its group before that is out of sight; a directory in a mount keeps it.
    let script = format!(
        "cd {} && echo 0 >cgroup.procs && {} && exec /cgroups in - 0 {check}",
        tree.display(),
        script.replace(" && umount", " && cd / && umount").replace("umount", "umount -l")
    );
    passes(Command::new("/bin/unshare").args(["-m", "/bin/sh", "-c", &script]))
}

fn shell(script: &str) -> QemuCommand {
    let mut command = QemuCommand::new("/bin/sh").expect("a program");
    command.arg("-c").and_then(|command| command.arg(script)).expect("an argument");
    command
}

fn refused(words: &[&str]) -> Checked {
    match Cgroup::delegated() {
        Err(CgroupError::NotDelegated { reason }) => {
            expect(words.iter().all(|word| reason.contains(word)), || format!("{reason} ({words:?})"))
        }
        other => Err(format!("{other:?}").into()),
    }
}

fn expect_tree(tree: &str) -> Checked {
    let found = Cgroup::delegated()?;
    expect(found == Path::new(tree), || found.display().to_string())
}

/// The groups in a group.
fn groups(tree: &Path) -> Vec<String> {
    let entries = fs::read_dir(tree).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn own() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

/// This process is in the tree, and makes way: once, whatever it makes there.
fn marked() -> Checked {
    let tree = Cgroup::delegated()?;
    expect(own().trim() == format!("0::/{}", tree.strip_prefix(ROOT)?.display()), own)?;
    let limits = CgroupLimits::new().pids(8);
    let first = Cgroup::create(&tree, "x", &limits, Path::new(DISK))?;
    expect(own().trim().ends_with("/launcher"), own)?;
    let again = Cgroup::delegated()?;
    expect(again == tree, || again.display().to_string())?;
    let second = Cgroup::create(&again, "x", &limits, Path::new(DISK))?;
    expect(first.path() != second.path() && groups(&tree).len() == 3, || format!("{:?}", groups(&tree)))?;
    for group in [&first, &second] {
        expect(fs::read_to_string(group.path().join("pids.max"))?.trim() == "8", || "pids.max".to_owned())?;
        let command = shell("exec cat /proc/self/cgroup");
        let machine = Launch::new(&command).cgroup(group)?.start()?;
        machine.wait(Instant::now() + Duration::from_secs(10));
        let said = String::from_utf8(machine.end(None)?.console)?;
        let inside = group.path().strip_prefix(ROOT)?.display().to_string();
        expect(said.trim() == format!("0::/{inside}"), || said.clone())?;
    }
    drop((first, second));
    expect(groups(&tree) == ["launcher"], || format!("{:?}", groups(&tree)))
}

/// An ordinary user with a tree of his own can do what root can.
fn own_tree() -> Checked {
    marked()?;
    let tree = Cgroup::delegated()?;
    expect(tree == Path::new(ROOT).join("session"), || tree.display().to_string())?;
    memory(&tree)?;
    pids(&tree)?;
    dropped(&tree)?;
    expect(groups(&tree) == ["launcher"], || format!("{:?}", groups(&tree)))
}

/// A tree of this user's own, which is not the one that he is in: the kernel lets him bring nothing there.
fn outside() -> Checked {
    let tree = Path::new(ROOT).join("far");
    match Cgroup::create(&tree, "x", &CgroupLimits::new().pids(8), Path::new(DISK)) {
        Err(CgroupError::Outside { own, above, .. }) if own.ends_with("/work") && above == ROOT => {}
        other => return Err(format!("{other:?}").into()),
    }
    expect(groups(&tree).is_empty(), || format!("{:?}", groups(&tree)))
}

/// Another process is in the tree, too.
fn occupied() -> Checked {
    let tree = Path::new(ROOT).join("occupied");
    let mut child = Command::new("/bin/sleep").arg("600").spawn()?;
    let before = own();
    let made = Cgroup::create(&tree, "x", &CgroupLimits::new().pids(8), Path::new(DISK));
    child.kill()?;
    child.wait()?;
    match &made {
        Err(CgroupError::Occupied { processes, .. }) if *processes == format!("{} (sleep)", child.id()) => {}
        other => return Err(format!("{other:?}").into()),
    }
    expect(before == own() && groups(&tree).is_empty(), || format!("{} {:?}", own(), groups(&tree)))?;
    // Once it is alone, it makes way.
    Cgroup::create(&tree, "x", &CgroupLimits::new().pids(8), Path::new(DISK))?;
    Ok(())
}

/// In a namespace of groups, in which this group is the first; with a mount of before, and with one of its own.
fn namespace() -> Checked {
    unshare(CloneFlags::CLONE_NEWCGROUP)?;
    refused(&["that is mounted here", "`/`"])?;
    passes(Command::new("/bin/umount").arg("-l").arg(ROOT))?;
    passes(Command::new("/bin/mount").args(["-t", "cgroup2", "cgroup2", ROOT]))?;
    expect(own().trim() == "0::/", own)?;
    expect_tree(ROOT)
}

/// Version 1 has a controller, as on hosts that mount both.
fn version_1() -> Checked {
    refused(&["cgroup version 1 has pids:", "unified_cgroup_hierarchy"])?;
    match Cgroup::create(Path::new(ROOT), "x", &CgroupLimits::new().pids(8), Path::new(DISK)) {
        Err(CgroupError::NoController { controller: Controller::Pids, reason, .. }) if reason.contains("version 1") => {
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    }
}

/// A tree whose parent gives it not all controllers.
fn no_controller() -> Checked {
    let outer = Path::new(ROOT).join("outer");
    let tree = outer.join("inner");
    fs::create_dir_all(&tree)?;
    fs::write(outer.join("cgroup.subtree_control"), "+memory +pids")?;
    let all = CgroupLimits::new().memory(1 << 20).pids(8).cpu_percent(50).io_bytes(1 << 20).io_operations(9);
    let said = match Cgroup::create(&tree, "x", &all, Path::new(DISK)) {
        Err(error @ CgroupError::NoController { controller: Controller::Cpu, .. }) => error.to_string(),
        other => return Err(format!("{other:?}").into()),
    };
    let words = [format!("`{}` has no controller `cpu`", tree.display()), format!("`{}` does not", outer.display())];
    expect(words.iter().all(|word| said.contains(word.as_str())), || said.clone())?;
    expect(groups(&tree).is_empty(), || format!("{:?}", groups(&tree)))?;
    let (limits, missing) = all.available_in(&tree);
    expect(limits == CgroupLimits::new().memory(1 << 20).pids(8), || format!("{limits:?}"))?;
    expect(missing == [Controller::Cpu, Controller::Io], || format!("{missing:?}"))?;
    Cgroup::create(&tree, "x", &limits, Path::new(DISK))?;
    Ok(())
}

fn no_tree() -> Checked {
    for (path, why) in [("/tmp", "is no cgroup v2 tree"), ("/sys/fs/cgroup/nowhere", "No such file")] {
        match Cgroup::create(Path::new(path), "x", &CgroupLimits::new(), Path::new(DISK)) {
            Err(CgroupError::NotDelegated { reason }) if reason.contains(why) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}

fn names(tree: &Path) -> Checked {
    for name in ["job-1", "a.b_c", "..", " x ", "ä=,:", &"x".repeat(200)] {
        let group = Cgroup::create(tree, name, &CgroupLimits::new(), Path::new(DISK))?;
        expect(group.path().is_dir() && group.path().parent() == Some(tree), || format!("{group:?}"))?;
    }
    let made = Cgroup::create(tree, "../x", &CgroupLimits::new(), Path::new(DISK));
    expect(matches!(made, Err(CgroupError::Name { .. })), || format!("{made:?}"))
}

/// The kernel says what it does not take, and nothing is left.
fn values(tree: &Path) -> Checked {
    let said = match Cgroup::create(tree, "x", &CgroupLimits::new().cpu_percent(0), Path::new(DISK)) {
        Err(error @ CgroupError::Set { .. }) => error.to_string(),
        other => return Err(format!("{other:?}").into()),
    };
    expect(said.contains("cpu.max` cannot be set to `0 100000`: Invalid argument"), || said.clone())?;
    expect(groups(tree).is_empty(), || format!("{:?}", groups(tree)))
}

/// A group that is gone before its machine starts.
fn gone(tree: &Path) -> Checked {
    let command = shell("exit 0");
    let group = Cgroup::create(tree, "x", &CgroupLimits::new(), Path::new(DISK))?;
    let launch = Launch::new(&command).cgroup(&group)?;
    drop(group);
    let said = launch.start().err().map_or_else(|| "it starts".to_owned(), |error| error.to_string());
    expect(said.contains("`/bin/sh` cannot be started: it cannot enter its control group: "), || said.clone())
}
