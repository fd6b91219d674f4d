//! Many plans, and many machines at once.

use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use qemu_dsl::QemuCommand;
use qemu_dsl::launch::{Launch, Machine, WorkDir};
use qemu_dsl::sandbox::{Plan, SandboxConfig, plan};

use crate::facts;
use crate::measure::ms;

/// What many plans take.
#[derive(Debug)]
pub struct Plans {
    /// Milliseconds for all of them, built and explained.
    pub ms: f64,
    /// How many KiB the process has grown between the hundredth and the last.
    pub grown: i64,
}

/// Builds and explains plans, each for a VM of its own.
///
/// # Panics
///
/// Never: there is a plan.
pub fn plans(count: usize) -> Plans {
    let started = Instant::now();
    let mut early = 0;
    for number in 0..count {
        let config =
            SandboxConfig::new(&format!("vm-{number}"), format!("/run/vm-{number}"), "/boot").expect("a good one");
        let config = config.allow_network(number % 2 == 0);
        let plan = plan(&config, &facts()).expect("a plan");
        let explained = Plan::explain(&config, &facts()).expect("a plan");
        assert_eq!(plan.command(), explained.command());
        assert!(explained.options().count() > 20);
        if number == 100 {
            early = resident();
        }
    }
    Plans { ms: ms(started.elapsed()), grown: resident() - early }
}

/// The process's memory, in KiB. (`man 5 proc_pid_status`)
fn resident() -> i64 {
    status("VmRSS:")
}

fn status(key: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

fn descriptors() -> i64 {
    // The one that reads the directory is among them.
    i64::try_from(std::fs::read_dir("/proc/self/fd").expect("Linux").count()).expect("few") - 1
}

/// What many machines take.
#[derive(Debug)]
pub struct Machines {
    /// Milliseconds until all are launched.
    pub launched: f64,
    /// Milliseconds until all have answered over QMP.
    pub answered: f64,
    /// Milliseconds until all are ended.
    pub ended: f64,
    /// Threads for each one.
    pub threads: f64,
    /// File descriptors for each one, without a QMP session.
    pub descriptors: f64,
    /// KiB of this process's memory for each one.
    pub memory: f64,
    /// How many processes are left.
    pub left: usize,
}

/// Launches, asks and ends `count` machines at once: a stand-in for QEMU in each, which listens and speaks QMP.
///
/// # Panics
///
/// When one of them fails.
#[allow(clippy::cast_precision_loss)] // small counts
pub fn machines(count: usize) -> Machines {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the limit can be raised to the hard one");
    let stand_in = crate::sibling("stand_in");
    let each = |now: i64, before: i64| (now - before) as f64 / count as f64;
    let before = (status("Threads:"), descriptors(), resident());
    let started = Instant::now();
    let machines: Vec<(Machine, WorkDir)> = (0..count)
        .map(|_| {
            let dir = WorkDir::create(&std::env::temp_dir(), "scale").expect("a directory");
            let mut command = QemuCommand::new(&stand_in).expect("a program");
            command
                .arg("none")
                .expect("a word")
                .arg(dir.path().join("qmp.sock"))
                .expect("a path")
                .arg("-")
                .expect("a word");
            (Launch::new(&command).start().expect("it starts"), dir)
        })
        .collect();
    let launched = ms(started.elapsed());
    let threads = each(status("Threads:"), before.0);
    let (descriptors, memory) = (each(descriptors(), before.1), each(resident(), before.2));
    let deadline = Instant::now() + Duration::from_mins(1);
    let sessions: Vec<_> = machines
        .iter()
        .map(|(machine, dir)| {
            let mut qmp = machine.qmp(dir.path().join("qmp.sock"), deadline).expect("QMP");
            qmp.status(Duration::from_secs(10)).expect("an answer");
            qmp
        })
        .collect();
    let answered = ms(started.elapsed());
    let ends = machines
        .into_iter()
        .zip(sessions)
        .map(|((machine, _dir), qmp)| machine.end(Some(qmp)).expect("it can be ended").processes_left);
    let left = ends.sum();
    Machines { launched, answered, ended: ms(started.elapsed()), threads, descriptors, memory, left }
}
