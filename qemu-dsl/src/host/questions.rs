//! The questions, each with its answer and the reason.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::time::Duration;

use super::process::Failure;
use super::{LIMIT, ProbeError, QemuInfo, QemuProbeError, Verdict, process};
use crate::accel::Architecture;
use crate::facts::{Acceleration, Os};
use crate::isolation::FIRST_UID;

/// The questions about isolation.
pub(super) const ISOLATION: [&str; 3] = ["unshare", "unshare_user", "bwrap"];

pub(super) fn os() -> Result<Os, ProbeError> {
    match std::env::consts::OS {
        "linux" => Ok(Os::Linux),
        "macos" => Ok(Os::Macos),
        os => Err(ProbeError::Os { os }),
    }
}

pub(super) fn arch() -> Result<Architecture, ProbeError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(Architecture::X86_64),
        "aarch64" => Ok(Architecture::Aarch64),
        arch => Err(ProbeError::Arch { arch }),
    }
}

/// The accelerator, why, and whether it will be so again.
pub(super) fn acceleration(os: Os, arch: Architecture, qemu: &OsStr, forced: bool) -> (Acceleration, Verdict, bool) {
    let (accel, (verdict, certain)) = match os {
        _ if forced => return (Acceleration::Tcg, Verdict::no("acceleration", "emulation was asked for"), true),
        Os::Linux => (Acceleration::Kvm, kvm(qemu, arch)),
        Os::Macos => (Acceleration::Hvf, hvf()),
    };
    (if verdict.yes { accel } else { Acceleration::Tcg }, verdict, certain)
}

#[cfg(target_os = "linux")]
use super::kvm::prove as kvm;

#[cfg(not(target_os = "linux"))]
fn kvm(_: &OsStr, _: Architecture) -> (Verdict, bool) {
    (Verdict::no("kvm", "only Linux has it"), true)
}

/// What the binary says about its accelerators: a more useful reason than what starting it without one gives.
pub(super) fn with_binary(
    accel: Acceleration,
    verdict: Verdict,
    arch: Architecture,
    info: Result<&QemuInfo, &QemuProbeError>,
) -> (Acceleration, Verdict) {
    let question = verdict.question;
    match info {
        Ok(info) if matches!(question, "kvm" | "hvf") && info.target != arch.name() => {
            let reason = format!("this QEMU binary emulates {}, and the host is {arch}", info.target);
            (Acceleration::Tcg, Verdict::no(question, reason))
        }
        Ok(info) if matches!(question, "kvm" | "hvf") && !info.has_accelerator(question) => {
            (Acceleration::Tcg, Verdict::no(question, format!("this QEMU binary was built without {question}")))
        }
        _ => (accel, verdict),
    }
}

/// Whether guests can be emulated: what is left where there is no hardware acceleration.
pub(super) fn tcg(info: Result<&QemuInfo, &QemuProbeError>) -> Verdict {
    const QUESTION: &str = "tcg";
    match info {
        Ok(info) if info.has_accelerator(QUESTION) => Verdict::yes(QUESTION, "the binary lists it"),
        Ok(_) => Verdict::no(QUESTION, "this QEMU binary was built without it"),
        Err(_) => Verdict::no(QUESTION, "the binary could not be asked"),
    }
}

fn hvf() -> (Verdict, bool) {
    match sysctl("kern.hv_support") {
        Ok(text) if text.trim() == "1" => (Verdict::yes("hvf", "kern.hv_support is 1"), true),
        Ok(text) => (Verdict::no("hvf", format!("kern.hv_support is {}", text.trim())), true),
        Err(Failure { reason, certain }) => (Verdict::no("hvf", reason), certain),
    }
}

/// A setting of macOS.
fn sysctl(name: &str) -> Result<String, Failure> {
    process::output(&["sysctl", "-n", name].map(OsString::from), LIMIT)
}

pub(super) fn tsc_deadline(os: Os, arch: Architecture) -> Verdict {
    const QUESTION: &str = "tsc_deadline";
    const FLAG: &str = "tsc_deadline_timer";
    if arch != Architecture::X86_64 {
        return Verdict::no(QUESTION, "only x86_64 has one");
    }
    match os {
        Os::Linux => match first_cpu() {
            Ok(text) => {
                let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
                if flags.split_ascii_whitespace().any(|flag| flag == FLAG) {
                    Verdict::yes(QUESTION, format!("{FLAG} is among the flags in /proc/cpuinfo"))
                } else {
                    Verdict::no(QUESTION, format!("{FLAG} is not among the flags in /proc/cpuinfo"))
                }
            }
            Err(error) => Verdict::no(QUESTION, format!("/proc/cpuinfo cannot be read: {error}")),
        },
        Os::Macos => match sysctl("machdep.cpu.features") {
            Ok(text) if text.split_ascii_whitespace().any(|flag| flag == "TSCTMR") => {
                Verdict::yes(QUESTION, "TSCTMR is in machdep.cpu.features")
            }
            Ok(_) => Verdict::no(QUESTION, "TSCTMR is not in machdep.cpu.features"),
            Err(failure) => Verdict::no(QUESTION, failure.reason),
        },
    }
}

/// What /proc/cpuinfo says of the first CPU, at least: the others have the same flags, and on a big host there are many.
fn first_cpu() -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open("/proc/cpuinfo")?.take(16 * 1024).read_to_string(&mut text)?;
    Ok(text)
}

pub(super) fn io_uring(os: Os, info: Result<&QemuInfo, &QemuProbeError>) -> Verdict {
    const QUESTION: &str = "io_uring";
    const SETTING: &str = "/proc/sys/kernel/io_uring_disabled";
    if os != Os::Linux {
        return Verdict::no(QUESTION, "only Linux has it");
    }
    // The file exists since Linux 6.6; without it there is nothing that disables io_uring but a seccomp filter.
    let disabled = std::fs::read_to_string(SETTING).unwrap_or_default();
    match disabled.trim() {
        "2" => return Verdict::no(QUESTION, format!("{SETTING} is 2")),
        // Root's QEMU is another user, too.
        "1" => return Verdict::no(QUESTION, format!("{SETTING} is 1, and QEMU is not privileged")),
        _ => {}
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = super::sys::io_uring_exists() {
        return Verdict::no(QUESTION, format!("the system call io_uring_setup says: {error}"));
    }
    match info {
        Ok(info) if info.io_uring => {
            Verdict::yes(QUESTION, "the kernel has it, and the binary lists it among its aio modes")
        }
        Ok(_) => Verdict::no(QUESTION, "the binary does not list it among its aio modes"),
        Err(_) => Verdict::no(QUESTION, "the binary could not be asked"),
    }
}

pub(super) fn seccomp(os: Os, info: Result<&QemuInfo, &QemuProbeError>) -> Verdict {
    const QUESTION: &str = "seccomp";
    match (os, info) {
        (Os::Macos, _) => Verdict::no(QUESTION, "only Linux has it"),
        (Os::Linux, Ok(info)) if info.seccomp => Verdict::yes(QUESTION, "the binary has the option -sandbox"),
        (Os::Linux, Ok(_)) => Verdict::no(QUESTION, "the binary has no option -sandbox"),
        (Os::Linux, Err(_)) => Verdict::no(QUESTION, "the binary could not be asked"),
    }
}

/// Whether the words before a program do what they are for: they are run with `true` at their end. Also whether that is certain.
pub(super) fn works(question: &'static str, words: &[OsString], limit: Duration) -> (Verdict, bool) {
    let whole: Vec<OsString> = words.iter().cloned().chain(["true".into()]).collect();
    match process::output(&whole, limit) {
        Ok(_) => (Verdict::yes(question, format!("`{}` worked", summary(&whole))), true),
        Err(Failure { reason, certain }) => (Verdict::no(question, reason), certain),
    }
}

/// A call, or of a long one its ends.
fn summary(words: &[OsString]) -> String {
    const MOST: usize = 12;
    let text: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    match &text[..] {
        [first, .., last] if text.len() > MOST => format!("{first} ... {last}"),
        all => all.join(" "),
    }
}

/// Whether this process is root, and can give QEMU a user of its own. Root of a user namespace cannot, where the namespace has only
/// users that are somebody's. (`man 7 user_namespaces`)
pub(super) fn root() -> Verdict {
    const QUESTION: &str = "root";
    let user = nix::unistd::geteuid();
    if !user.is_root() {
        return Verdict::no(QUESTION, format!("this process is user {user}"));
    }
    let has = |map| std::fs::read_to_string(map).map_or(true, |map| has_id(&map, FIRST_UID));
    if cfg!(target_os = "linux") && !(has("/proc/self/uid_map") && has("/proc/self/gid_map")) {
        let why = "it is root of a user namespace without the users for sandboxes: QEMU stays the user that it is";
        return Verdict::no(QUESTION, why);
    }
    Verdict::yes(QUESTION, "this process is, and QEMU gets a user of its own")
}

/// Whether a namespace's map, of lines with the first id inside, the first one outside, and how many there are, has an id.
fn has_id(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
        let (first, count) = (numbers.next().flatten(), numbers.nth(1).flatten());
        first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&id.into()))
    })
}

/// What programs can be held by, side by side: the very calls that plans begin with. Also whether all of it is certain.
pub(super) fn isolation(os: Os, allow_network: bool) -> (Vec<Verdict>, bool) {
    if os != Os::Linux {
        let no = |question| Verdict::no(question, "only Linux has namespaces");
        return (ISOLATION.map(no).into(), true);
    }
    let attempts = crate::isolation::attempts(allow_network, root().yes);
    let answers: Vec<(Verdict, bool)> = std::thread::scope(|scope| {
        let ask = |(question, words): &'_ (&'static str, Vec<OsString>)| works(question, words, LIMIT);
        let threads: Vec<_> = attempts.iter().map(|attempt| scope.spawn(move || ask(attempt))).collect();
        threads.into_iter().map(super::joined).collect()
    });
    let certain = answers.iter().all(|(_, certain)| *certain);
    (answers.into_iter().map(|(verdict, _)| verdict).collect(), certain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_namespace() {
        for (map, has) in [
            ("         0          0 4294967295\n", true),
            ("         0       1000          1\n", false),
            ("         0       1000          1\n         1     100000      65536\n", false),
            ("0 1000 1\n1879048192 100000 1\n", true),
            ("1879048193 100000 65536\n", false),
            ("1879048191 100000 1\n", false),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(has_id(map, FIRST_UID), has, "{map}");
        }
    }
}
