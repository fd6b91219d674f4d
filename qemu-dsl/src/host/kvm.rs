//! Proof of KVM: a vCPU that runs, in the very QEMU binary that will be started.
//!
//! On a nested host, /dev/kvm can open and answer with the right version, and still no guest gets anywhere: QEMU aborts
//! over a register, or KVM gives up on the first instruction that it cannot emulate. So a tiny guest ([`super::payload`])
//! runs with `-cpu host`, the way a sandbox would, and has to report back.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::payload::Payload;
use super::process::{Failure, shown, talk};
use super::{Verdict, sys};
use crate::accel::Architecture;
use crate::deadline::left;
use crate::status::{ended_with, signal};

const QUESTION: &str = "kvm";

/// How long the guest may take. Where KVM works it takes a tenth of that, the start of QEMU included.
const LIMIT: Duration = Duration::from_millis(900);

/// How much QEMU may say meanwhile: it says some hundred bytes.
const MOST: u64 = 1 << 20;

/// Whether guests run under KVM here, and whether that is certain.
pub(super) fn prove(qemu: &OsStr, arch: Architecture) -> (Verdict, bool) {
    let proof = device().map_err(Failure::from);
    match proof.and_then(|()| test_guest(qemu, arch, &["-accel", "kvm", "-cpu", "host"])) {
        Ok(()) => (Verdict::yes(QUESTION, "a vCPU ran a test guest"), true),
        Err(Failure { reason, certain }) => (Verdict::no(QUESTION, reason), certain),
    }
}

/// /dev/kvm opens for reading and writing, and speaks the one version of its interface.
fn device() -> Result<(), String> {
    let kvm = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_CLOEXEC)
        .open("/dev/kvm")
        .map_err(|error| format!("/dev/kvm cannot be opened: {error}"))?;
    match sys::kvm_api_version(&kvm) {
        Ok(12) => Ok(()),
        Ok(version) => Err(format!("/dev/kvm has version {version} of its interface, and 12 is needed")),
        Err(error) => Err(format!("/dev/kvm does not tell its version: {error}")),
    }
}

/// Runs the test guest of the KVM proof with other accelerator options: `Ok` when a vCPU ran it to its end.
///
/// # Errors
///
/// What happened instead, in one line.
///
/// ```no_run
/// use qemu_dsl::accel::Architecture;
/// use qemu_dsl::host::run_test_guest;
/// let result = run_test_guest("qemu-system-x86_64".as_ref(), Architecture::X86_64, &["-accel", "tcg", "-cpu", "max"]);
/// println!("{result:?}");
/// ```
pub fn run_test_guest(qemu: &OsStr, arch: Architecture, accel: &[&str]) -> Result<(), String> {
    test_guest(qemu, arch, accel).map_err(|failure| failure.reason)
}

fn test_guest(qemu: &OsStr, arch: Architecture, accel: &[&str]) -> Result<(), Failure> {
    let payload = Payload::write(arch).map_err(|error| format!("the test guest cannot be written: {error}"))?;
    let mut args: Vec<String> = accel.iter().map(ToString::to_string).chain(payload.args()).collect();
    // KVM's last word is a pause, which QMP announces: without it, a failure would take until the limit. The guest waits
    // until QMP listens: it is so small that it could be done before.
    let rest = ["-nodefaults", "-no-user-config", "-display", "none", "-m", "16M", "-no-reboot", "-S", "-qmp", "stdio"];
    args.extend(rest.map(Into::into));
    let deadline = Instant::now() + LIMIT;
    let (asked, mut input, events) = talk(qemu, &args, vec![payload.fd()])?;
    // A QEMU that is gone already has its reason on stderr; this need not say so too.
    let _ = input.write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"cont\"}\n");
    let ends = watch(events).map_err(|error| Failure::passing(format!("QEMU cannot be watched: {error}")))?;
    let end = ends.recv_timeout(left(deadline));
    if matches!(end, Ok(End::Closed)) {
        // It is ending: the kernel takes its memory back, and then tells.
        asked.wait(Instant::now() + LIMIT);
    }
    let (status, said) = asked.end(Some(&mut input));
    if matches!(end, Ok(End::PoweredOff)) || status.is_some_and(|status| payload.succeeded(status)) {
        return Ok(());
    }
    let said = complaint(&said);
    Err(match (end, status) {
        (Ok(End::Stopped), _) => format!("the vCPU of a test guest stopped{said}").into(),
        // What is killed is not at fault, but for what it does to itself: abort is QEMU's way to give up.
        (Ok(End::Closed), Some(status)) => Failure {
            certain: signal(status) != Some(Signal::SIGKILL),
            ..format!("QEMU with a test guest ended with {}{said}", ended_with(status)).into()
        },
        _ => Failure::passing(format!("a test guest did not get through within {LIMIT:?}{said}")),
    })
}

#[derive(Clone, Copy)]
enum End {
    /// The guest powered the machine off.
    PoweredOff,
    /// The virtual machine was stopped.
    Stopped,
    /// QEMU closed its end of QMP.
    Closed,
}

/// Reports the first thing that ends the test.
fn watch(events: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<End>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("qemu-events".to_owned()).spawn(move || {
        let events = events.take(MOST);
        let end = BufReader::new(events).lines().map_while(Result::ok).find_map(|line| match line {
            line if line.contains("\"guest-shutdown\"") => Some(End::PoweredOff),
            line if line.contains("\"event\": \"STOP\"") => Some(End::Stopped),
            _ => None,
        });
        let _ = sender.send(end.unwrap_or(End::Closed));
    })?;
    Ok(receiver)
}

/// What QEMU complains about: its first line that is no mere warning.
fn complaint(stderr: &[u8]) -> String {
    let stderr = String::from_utf8_lossy(stderr);
    let line = stderr.lines().find(|line| !line.trim().is_empty() && !line.contains("warning:"));
    line.map_or(String::new(), |line| {
        let (_, line) = line.split_once(": ").filter(|(program, _)| program.contains("qemu")).unwrap_or(("", line));
        format!(": {}", shown(line.trim().as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_complaint_is_the_first_line_that_is_no_warning() {
        let stderr = "qemu-system-x86_64: warning: host doesn't support x\nqemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\nmore\n";
        assert_eq!(complaint(stderr.as_bytes()), ": error: failed to set MSR 0x10a to 0x69");
        assert_eq!(complaint(b"KVM internal error. Suberror: 1\n"), ": KVM internal error. Suberror: 1");
        assert_eq!(complaint(b""), "");
    }
}
