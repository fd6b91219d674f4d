//! What limits do, and what is left.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use qemu_dsl::launch::{Cause, Cgroup, CgroupLimits, CgroupReport, Ended, Launch};

use super::{Checked, DISK, ROOT, command_in, expect, groups, passes, shell};

/// Runs a script in a new group, for a while at most.
fn limited(
    tree: &Path,
    limits: CgroupLimits,
    script: &str,
    limit: Duration,
) -> Result<(Ended, CgroupReport), Box<dyn Error>> {
    let group = Cgroup::create(tree, "a-b.c_1", &limits, Path::new(DISK))?;
    let command = shell(script);
    let machine = Launch::new(&command).cgroup(&group)?.start()?;
    machine.wait(Instant::now() + limit);
    let ended = machine.end(None)?;
    Ok((ended, group.report()))
}

/// All of the group ends, also what has left the process group.
pub(crate) fn memory(tree: &Path) -> Checked {
    let limits = CgroupLimits::new().memory(32 << 20);
    let group = Cgroup::create(tree, "x", &limits, Path::new(DISK))?;
    let command = shell("setsid sleep 600 & tail /dev/zero");
    let machine = Launch::new(&command).cgroup(&group)?.start()?;
    expect(machine.wait(Instant::now() + Duration::from_mins(1)).is_some(), || "it runs still".to_owned())?;
    // The kernel kills all of them at once; they are gone a moment later.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fs::read_to_string(group.path().join("cgroup.events"))?.contains("populated 0") {
        expect(Instant::now() < deadline, || "something is left".to_owned())?;
        std::thread::yield_now();
    }
    let ended = machine.end(None)?;
    let report = group.report();
    expect(ended.cause == Cause::OutOfMemory, || format!("{:?} {:?} {report:?}", ended.cause, ended.status))?;
    expect(report.oom_kills >= 3, || format!("{report:?}"))?;
    expect(report.memory_peak.is_none_or(|peak| peak <= 32 << 20 && peak > 16 << 20), || format!("{report:?}"))
}

/// No room for the program's first moments.
pub(crate) fn memory_at_once(tree: &Path) -> Checked {
    let mut ended_at_once = 0;
    for kilobytes in (4..=256).step_by(12) {
        let limits = CgroupLimits::new().memory(kilobytes << 10);
        let group = Cgroup::create(tree, "x", &limits, Path::new(DISK))?;
        let command = shell("exec sleep 600");
        // With less still it has no room for its arguments, and does not start.
        let Ok(machine) = Launch::new(&command).cgroup(&group)?.start() else { continue };
        if machine.wait(Instant::now() + Duration::from_millis(300)).is_none() {
            break;
        }
        ended_at_once += 1;
        let (ended, report) = (machine.end(None)?, group.report());
        let is_so = ended.cause == Cause::OutOfMemory && report.oom_kills > 0;
        expect(is_so, || format!("{kilobytes} KiB: {:?} {:?} {report:?}", ended.cause, ended.status))?;
    }
    expect(ended_at_once > 0, || "none ended at once".to_owned())
}

pub(crate) fn pids(tree: &Path) -> Checked {
    let script = "i=0; while [ $i -lt 30 ]; do sleep 600 & i=$((i+1)); done; wait";
    let (_, report) = limited(tree, CgroupLimits::new().pids(8), script, Duration::from_secs(1))?;
    expect(report.pids_refused > 0, || format!("{report:?}"))
}

pub(crate) fn cpu(tree: &Path) -> Checked {
    let limits = CgroupLimits::new().cpu_percent(10);
    let (_, report) = limited(tree, limits, "while :; do :; done", Duration::from_secs(2))?;
    let used = 1..1_000_000;
    expect(report.cpu_throttled_usec > 0 && used.contains(&report.cpu_usec), || format!("{report:?}"))
}

/// The limit is the disk's, not the partition's.
pub(crate) fn io(tree: &Path) -> Checked {
    let disk = fs::read_to_string("/sys/block/vda/dev")?;
    let limits = CgroupLimits::new().io_bytes(1 << 20).io_operations(100);
    let group = Cgroup::create(tree, "disk", &limits, Path::new(DISK))?;
    let set = fs::read_to_string(group.path().join("io.max"))?;
    expect(set.trim() == format!("{} rbps=1048576 wbps=1048576 riops=100 wiops=100", disk.trim()), || set.clone())?;
    drop(group);
    // A file system in memory has no disk.
    let group = Cgroup::create(tree, "memory", &limits, Path::new("/tmp"))?;
    let set = fs::read_to_string(group.path().join("io.max"))?;
    expect(set.is_empty(), || set.clone())
}

/// It holds what goes through the page cache, too.
pub(crate) fn io_holds(tree: &Path) -> Checked {
    let took = |limits, file: &str| -> Result<Duration, Box<dyn Error>> {
        let script = format!("dd if=/dev/zero of=/mnt/{file} bs=64k count=32 conv=fsync");
        let started = Instant::now();
        let (ended, _) = limited(tree, limits, &script, Duration::from_mins(1))?;
        expect(ended.status.success(), || ended.stderr.clone())?;
        Ok(started.elapsed())
    };
    let free = took(CgroupLimits::new(), "free")?;
    let held = took(CgroupLimits::new().io_bytes(1 << 20), "held")?;
    // Two seconds' worth, of which the kernel may let some pass in advance.
    let is_so = free < Duration::from_secs(1) && held > Duration::from_millis(1200);
    expect(is_so, || format!("{free:?} without, {held:?} with a limit"))
}

/// A process in a group, out of its owner's session, and a group below that with another one; and one without.
fn populate(group: &Path) -> Result<[Child; 2], Box<dyn Error>> {
    let below = group.join("below/further");
    fs::create_dir_all(&below)?;
    fs::create_dir(group.join("empty"))?;
    let sleep = |group: &Path| -> Result<Child, Box<dyn Error>> {
        let child = Command::new("/bin/setsid").args(["sleep", "600"]).spawn()?;
        fs::write(group.join("cgroup.procs"), child.id().to_string())?;
        Ok(child)
    };
    Ok([sleep(group)?, sleep(&below)?])
}

/// What is left in a group ends with it, and so does the group.
pub(crate) fn dropped(tree: &Path) -> Checked {
    let group = Cgroup::create(tree, "dropped", &CgroupLimits::new(), Path::new(DISK))?;
    let path = group.path().to_owned();
    let children = populate(&path)?;
    let started = Instant::now();
    drop(group);
    let took = started.elapsed();
    expect(!path.exists(), || "the group is there still".to_owned())?;
    expect(took < Duration::from_millis(900), || format!("{took:?}"))?;
    for mut child in children {
        let status = child.wait()?;
        expect(!status.success(), || format!("{status}"))?;
    }
    Ok(())
}

/// The same on kernels without `cgroup.kill`.
pub(crate) fn dropped_without_kill(tree: &Path) -> Checked {
    let group = Cgroup::create(tree, "dropped", &CgroupLimits::new(), Path::new(DISK))?;
    let path = group.path().to_owned();
    let kill = path.join("cgroup.kill");
    // A program that runs cannot be written to.
    passes(Command::new("/bin/mount").args(["--bind", "/cgroups"]).arg(&kill))?;
    expect(fs::write(&kill, "1").is_err(), || "it can be killed".to_owned())?;
    let children = populate(&path)?;
    drop(group);
    for mut child in children {
        let status = child.try_wait()?;
        expect(status.is_some_and(|status| !status.success()), || format!("{status:?}"))?;
    }
    expect(!path.exists(), || "the group is there still".to_owned())
}

/// An owner that waits to be killed.
pub(crate) fn owner() -> Checked {
    let tree = Path::new(ROOT).join("work");
    let group = Cgroup::create(&tree, "owner", &CgroupLimits::new(), Path::new(DISK))?;
    let _children = populate(group.path())?;
    println!("{}", group.path().display());
    std::thread::park();
    Ok(())
}

/// What an owner that was killed has left goes when the next group is made, and nothing of one that lives.
pub(crate) fn swept(tree: &Path) -> Checked {
    let mut owner = command_in("unmarked", 0, "owner").stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    BufReader::new(owner.stdout.take().ok_or("an output")?).read_line(&mut said)?;
    let left = PathBuf::from(said.trim());
    let group = Cgroup::create(tree, "x", &CgroupLimits::new(), Path::new(DISK))?;
    let lives = left.join("below").is_dir() && fs::read_to_string(left.join("cgroup.events"))?.contains("populated 1");
    drop(group);
    owner.kill()?;
    owner.wait()?;
    expect(lives, || format!("{} had an owner", left.display()))?;
    let group = Cgroup::create(tree, "x", &CgroupLimits::new(), Path::new(DISK))?;
    expect(!left.exists(), || format!("{} is there still", left.display()))?;
    expect(group.path().is_dir(), || "the new one is gone".to_owned())
}

pub(crate) fn nothing_is_left(tree: &Path) -> Checked {
    expect(groups(tree).is_empty(), || format!("{:?}", groups(tree)))
}
