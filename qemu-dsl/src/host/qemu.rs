//! One QMP session with the QEMU binary: what it is and has.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{Failure, last_line, output, shown, talk};
use crate::QemuVersion;
use crate::deadline::{after, left};
use crate::qmp::{Qmp, QmpError};
use crate::status::ended_with;

/// For the reply to `query-qmp-schema`.
const MEMORY: usize = 16 << 20;

/// What a QEMU binary says about itself. [`Probed`](super::Probed) has one; it has no example of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QemuInfo {
    /// Its version.
    pub version: QemuVersion,
    /// The architecture that it emulates, by QEMU's name: `x86_64`.
    pub target: String,
    /// The accelerators compiled in: `tcg`, `kvm`, ...
    pub accelerators: Vec<String>,
    /// The machine types that it has, and the other names that they go by (`pc`), sorted.
    pub machines: Vec<String>,
    /// Whether it has `-sandbox`.
    pub seccomp: bool,
    /// Whether `io_uring` is among its aio modes.
    pub io_uring: bool,
    /// The devices that it has, by QEMU's names, sorted.
    pub devices: Vec<String>,
    /// The directories in which it looks for firmware. (`-L help`)
    pub data_dirs: Vec<PathBuf>,
}

impl QemuInfo {
    /// Whether the binary has a device.
    pub fn has_device(&self, name: &str) -> bool {
        has(&self.devices, name)
    }

    /// Whether the binary has a machine type of this name.
    pub fn has_machine(&self, name: &str) -> bool {
        has(&self.machines, name)
    }

    /// Whether the binary was built with an accelerator.
    pub fn has_accelerator(&self, name: &str) -> bool {
        self.accelerators.iter().any(|known| known == name)
    }
}

fn has(sorted: &[String], name: &str) -> bool {
    sorted.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
}

/// Why a QEMU binary cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QemuProbeError {
    /// It is not there, or cannot be started.
    #[error("{reason}")]
    Start {
        /// What was wrong.
        reason: String,
    },
    /// It started, and did not answer as QEMU does.
    #[error("`{binary}` does not answer as QEMU does: {reason}")]
    Session {
        /// The binary.
        binary: String,
        /// What was wrong.
        reason: String,
    },
}

/// Asks `binary`, within `limit`. Also whether the answer will be the same the next time.
pub(super) fn ask(binary: &OsStr, limit: Duration) -> (Result<QemuInfo, QemuProbeError>, bool) {
    let (info, dirs) = std::thread::scope(|scope| {
        let dirs = scope.spawn(|| data_dirs(binary, limit));
        (session(binary, limit), super::joined(dirs))
    });
    match (info, dirs) {
        (Ok(info), Ok(data_dirs)) => (Ok(QemuInfo { data_dirs, ..info }), true),
        // It answers, and does not know the option: then there is nothing to be shown.
        (Ok(info), Err(Failure { certain, .. })) => (Ok(info), certain),
        (Err((error, certain)), _) => (Err(error), certain),
    }
}

fn data_dirs(binary: &OsStr, limit: Duration) -> Result<Vec<PathBuf>, Failure> {
    // Without a machine, aarch64's QEMU 5.2 complains before it helps.
    let words = ["-M", "none", "-L", "help"].map(OsString::from);
    let said = output(&[&[binary.to_owned()], &words[..]].concat(), limit)?;
    Ok(said.lines().map(PathBuf::from).filter(|dir| dir.is_absolute()).collect())
}

fn session(binary: &OsStr, limit: Duration) -> Result<QemuInfo, (QemuProbeError, bool)> {
    let deadline = after(limit);
    let args = ["-M", "none", "-nodefaults", "-no-user-config", "-S", "-display", "none", "-qmp", "stdio"];
    let (asked, input, output) = talk(binary, &args.map(Into::into), Vec::new())
        .map_err(|Failure { reason, certain }| (QemuProbeError::Start { reason }, certain))?;
    let mut quit = input.try_clone().ok();
    let answer = answers(output.into(), input.into(), deadline);
    if matches!(answer, Err(QmpError::Closed)) {
        // It is ending; how, tells why.
        asked.wait(deadline);
    }
    // `-M none` has nothing to lose, so killing it is the fastest clean end.
    let (status, stderr) = asked.end(quit.as_mut());
    answer.map_err(|error| {
        let reason = match (last_line(&stderr), status) {
            (said, _) if !said.is_empty() => said,
            (_, Some(status)) => format!("it ended with {}", ended_with(status)),
            (_, None) => shown(error.to_string().as_bytes()),
        };
        // What took too long, or was killed, may do better the next time.
        let certain = !matches!(error, QmpError::Timeout { .. }) && status.is_none_or(|status| status.code().is_some());
        (QemuProbeError::Session { binary: binary.display().to_string(), reason }, certain)
    })
}

fn answers(input: OwnedFd, output: OwnedFd, deadline: Instant) -> Result<QemuInfo, QmpError> {
    let mut qmp = Qmp::over(input, output, left(deadline))?;
    qmp.set_memory_limit(MEMORY);
    let [accelerators, sandbox, schema, devices, machines, target] = qmp.execute_all(
        [
            ("qom-list-types", Some(json!({ "implements": "accel" }))),
            ("query-command-line-options", Some(json!({ "option": "sandbox" }))),
            ("query-qmp-schema", None),
            ("qom-list-types", Some(json!({ "implements": "device", "abstract": false }))),
            ("query-machines", None),
            ("query-target", None),
        ],
        left(deadline),
    )?;
    let machines = machines?;
    let mut machines = [names(&machines, "name"), names(&machines, "alias")].concat();
    let mut devices = names(&devices?, "name");
    machines.sort_unstable();
    machines.dedup();
    devices.sort_unstable();
    Ok(QemuInfo {
        version: qmp.version(),
        target: target?["arch"].as_str().unwrap_or_default().to_owned(),
        accelerators: names(&accelerators?, "name")
            .iter()
            .filter_map(|name| Some(name.strip_suffix("-accel")?.to_owned()))
            .collect(),
        machines,
        // A binary without seccomp does not know the option, and says so.
        seccomp: sandbox.is_ok_and(|options| options.as_array().is_some_and(|options| !options.is_empty())),
        io_uring: aio_modes(&schema?).any(|mode| mode == "io_uring"),
        devices,
        data_dirs: Vec::new(),
    })
}

fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|entry| Some(entry[key].as_str()?.to_owned())).collect()
}

/// The values of the enum `BlockdevAioOptions`. The schema hides its name, but `threads` beside `native` is in no other.
fn aio_modes(schema: &Value) -> impl Iterator<Item = &str> {
    let is_it =
        |values: &&Vec<Value>| ["threads", "native"].iter().all(|mode| values.iter().any(|value| value == mode));
    let enums = schema.as_array().into_iter().flatten().filter(|entry| entry["meta-type"] == "enum");
    enums.filter_map(|entry| entry["values"].as_array()).filter(is_it).flatten().filter_map(Value::as_str)
}
