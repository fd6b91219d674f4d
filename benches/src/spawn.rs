//! What the library adds between the call and the program's start, beside `std::process`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use qemu_dsl::QemuCommand;
use qemu_dsl::launch::Launch;
use qemu_dsl::sandbox::Place;
use tests::jail;

/// Nanoseconds of the monotonic clock, which all processes share.
///
/// # Panics
///
/// Never: every system has this clock.
pub fn now() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}

/// Milliseconds from `called` to what the program said of its start.
fn until(said: &[u8], called: i64) -> f64 {
    let started: i64 = String::from_utf8_lossy(said).trim().parse().expect("a number of nanoseconds");
    Duration::from_nanos(u64::try_from(started - called).expect("time passes")).as_secs_f64() * 1e3
}

/// Through the library.
///
/// # Panics
///
/// When the program fails.
pub fn ours(program: &Path) -> f64 {
    launched(&QemuCommand::new(program).expect("a program"))
}

/// The sandbox's jail, which shows a program.
#[derive(Debug)]
pub struct Jail {
    command: QemuCommand,
    _place: Place,
    _parent: tempfile::TempDir,
}

impl Jail {
    /// That of whoever runs this.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn of(program: &Path) -> Self {
        let parent = tempfile::tempdir().expect("a directory");
        let place = jail::place(parent.path());
        let words = jail::words(&place, program);
        let mut command = QemuCommand::new(&words[0]).expect("a wrapper");
        for word in words[1..].iter().map(AsRef::as_ref).chain([program.as_os_str()]) {
            command.arg(word).expect("a word");
        }
        Self { command, _place: place, _parent: parent }
    }

    /// Through the library, in the jail.
    ///
    /// # Panics
    ///
    /// When the program fails.
    pub fn start(&self) -> f64 {
        launched(&self.command)
    }
}

fn launched(command: &QemuCommand) -> f64 {
    let called = now();
    let machine = Launch::new(command).start().expect("it starts");
    machine.wait(Instant::now() + Duration::from_secs(10)).expect("it ends");
    let ended = machine.end(None).expect("it can be ended");
    assert!(ended.status.success(), "{}", ended.stderr);
    until(&ended.console, called)
}

/// Through `std::process` alone.
///
/// # Panics
///
/// When the program fails.
pub fn floor(program: &Path) -> f64 {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    let called = now();
    let output = command.output().expect("it starts");
    until(&output.stdout, called)
}
