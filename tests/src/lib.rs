//! What the tests share: which QEMUs there are, where the guest is, how a command is judged, and a parser of option text
//! that knows nothing of the library's serializer.

#![allow(clippy::missing_panics_doc)] // a panic here is a failed test

pub mod archive;
pub mod faults;
pub mod jail;
pub mod lines;
pub mod network;
pub mod parse;
pub mod plans;
pub mod qtest;
pub mod rules;
pub mod schema;
pub mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture;
use qemu_dsl::launch::{Launch, LaunchError};
use qemu_dsl::qmp::Qmp;
use qemu_dsl::{QemuCommand, QemuVersion};

/// A QEMU that tests run.
#[derive(Debug, Clone)]
pub struct Qemu {
    /// Its version, asked of the binary.
    pub version: QemuVersion,
    dir: Option<PathBuf>,
}

impl Qemu {
    fn at(dir: Option<PathBuf>) -> Self {
        let mut qemu = Self { version: QemuVersion::new(0, 0, 0), dir };
        qemu.version = version(&qemu.binary(Architecture::X86_64));
        qemu
    }

    /// The emulator for an architecture.
    pub fn binary(&self, arch: Architecture) -> OsString {
        match &self.dir {
            None => arch.qemu_binary().into(),
            Some(dir) => dir.join(arch.qemu_binary()).into(),
        }
    }
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The QEMUs to test with: the one from `PATH`, and with `QEMU_DSL_ALL_QEMUS` those that `scripts/setup qemus` made.
///
/// # Panics
///
/// Where there is none: tests that need QEMU do not pass without.
pub fn qemus() -> Vec<Qemu> {
    let mut qemus = vec![Qemu::at(None)];
    if std::env::var_os("QEMU_DSL_ALL_QEMUS").is_some() {
        for qemu in side_by_side() {
            if qemu.version != qemus[0].version {
                qemus.push(qemu);
            }
        }
    }
    qemus
}

/// The QEMUs that `scripts/setup qemus` made: 5.2, 7.2, 10.0 and 11.1.
///
/// # Panics
///
/// Where one is missing.
pub fn side_by_side() -> Vec<Qemu> {
    let at = |version| {
        let dir = root().join("target/qemus").join(version).join("bin");
        assert!(dir.is_dir(), "{} is missing: run scripts/setup qemus", dir.display());
        Qemu::at(Some(dir))
    };
    ["5.2", "7.2", "10.0", "11.1"].map(at).into()
}

fn version(binary: &OsString) -> QemuVersion {
    let output = std::process::Command::new(binary).arg("--version").output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run scripts/setup qemu", binary.display()));
    let text = String::from_utf8(output.stdout).expect("QEMU's version is text");
    let number = text.strip_prefix("QEMU emulator version ").and_then(|text| text.split_whitespace().next());
    let parts: Vec<u16> =
        number.into_iter().flat_map(|text| text.split('.')).filter_map(|part| part.parse().ok()).collect();
    match parts[..] {
        [major, minor, micro] => QemuVersion::new(major, minor, micro),
        _ => panic!("`{text}` names no version"),
    }
}

/// The directory of the test guest's kernels and disks.
///
/// # Panics
///
/// Where it is not there.
pub fn guest_dir() -> PathBuf {
    let dir = root().join("target/guest");
    assert!(dir.join("vmlinuz-x86_64").is_file(), "{} has no guest: run scripts/setup guest", dir.display());
    dir
}

/// The directory of the guest with the minimal `x86_64` kernel.
///
/// # Panics
///
/// Where it is not there.
pub fn minimal_guest_dir() -> PathBuf {
    let dir = root().join("target/guest-minimal");
    assert!(dir.join("vmlinuz-x86_64").is_file(), "{} has no guest: run scripts/setup kernel", dir.display());
    dir
}

/// What QEMU did with a command that has QMP at `qmp`, stopped before the guest's first instruction.
#[derive(Debug)]
pub enum Judged {
    /// It started; this is what it said on standard error all the same.
    Accepted {
        /// Its standard error.
        stderr: String,
    },
    /// It ended by itself.
    Rejected {
        /// Its standard error.
        stderr: String,
    },
}

/// Starts a command with `-S`, and ends it over QMP.
///
/// # Panics
///
/// When QEMU neither starts nor ends.
pub fn judge(command: &QemuCommand, qmp: &Path) -> Judged {
    judge_with(command, qmp, |_| ())
}

/// The same, asking QEMU something before it ends.
///
/// # Panics
///
/// As [`judge`].
pub fn judge_with(command: &QemuCommand, qmp: &Path, ask: impl FnOnce(&mut Qmp)) -> Judged {
    let mut stopped = command.clone();
    stopped.arg("-S").expect("-S is a fine argument");
    let start = || {
        let machine = Launch::new(&stopped).start().expect("QEMU can be started");
        let session = machine.qmp(qmp, Instant::now() + Duration::from_secs(30));
        (machine, session)
    };
    let (mut machine, mut session) = start();
    // QEMU 5.2 dies of a client that comes at the wrong moment of its start, once in thousands of times.
    if matches!(&session, Err(LaunchError::Exited { status, .. }) if status == "SIGSEGV") {
        (machine, session) = start();
    }
    match session {
        Ok(mut session) => {
            ask(&mut session);
            Judged::Accepted { stderr: machine.end(Some(session)).expect("QEMU can be ended").stderr }
        }
        Err(LaunchError::Exited { stderr, .. }) => Judged::Rejected { stderr },
        Err(error) => panic!("{error}\n{command}"),
    }
}
