//! What the library adds between the call and the program's start, beside `std::process`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use qemu_dsl::QemuCommand;
use qemu_dsl::launch::Launch;

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
    let command = QemuCommand::new(program).expect("a program");
    let called = now();
    let machine = Launch::new(&command).start().expect("it starts");
    machine.wait(Instant::now() + Duration::from_secs(10)).expect("it ends");
    let ended = machine.end(None).expect("it can be ended");
    assert!(ended.status.success());
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
