//! Probing a host: cold, remembered, and the floor, which is one bare QMP session.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use qemu_dsl::host::{ProbeOptions, probe, probe_now};

use crate::measure::ms;

/// The options that are measured: with or without the proof of KVM.
fn options(kvm: bool) -> ProbeOptions {
    ProbeOptions::new().force_emulation(!kvm)
}

/// All probes, nothing remembered.
///
/// # Panics
///
/// On a host that cannot be probed.
pub fn cold(kvm: bool) -> f64 {
    let started = Instant::now();
    let probed = probe_now(&options(kvm)).expect("a host that can be probed");
    assert!(probed.facts.qemu_version.is_some(), "there is a QEMU");
    ms(started.elapsed())
}

/// What this process remembers.
///
/// # Panics
///
/// On a host that cannot be probed.
pub fn in_process() -> f64 {
    probe(&options(false)).expect("a host that can be probed");
    let started = Instant::now();
    probe(&options(false)).expect("a host that can be probed");
    ms(started.elapsed())
}

/// What a file remembers, in a process that has just started: the bin `remembered` measures itself.
///
/// # Panics
///
/// When the process fails.
pub fn in_a_file(cache: &Path) -> f64 {
    let output = Command::new(crate::sibling("remembered")).arg(cache).output().expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of milliseconds")
}

/// One question in a bare QMP session, with nothing but the standard library.
///
/// # Panics
///
/// When QEMU does not answer.
pub fn floor() -> f64 {
    let started = Instant::now();
    let mut child = Command::new("qemu-system-x86_64")
        .args(["-M", "none", "-nodefaults", "-no-user-config", "-S", "-display", "none", "-qmp", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("QEMU starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-kvm\"}\n").expect("QEMU reads");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let answered = lines.map_while(Result::ok).any(|line| line.contains("enabled"));
    let elapsed = ms(started.elapsed());
    child.kill().and_then(|()| child.wait()).expect("QEMU ends");
    assert!(answered, "QEMU answers");
    elapsed
}
