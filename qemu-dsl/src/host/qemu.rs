//! One QMP session with the QEMU binary: what it is and has.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{Reaped, cannot_start, collected, last_line};
use crate::QemuVersion;
use crate::deadline::{after, left};
use crate::qmp::{Qmp, QmpError};

/// For the reply to `query-qmp-schema`.
const MEMORY: usize = 16 << 20;

/// What a QEMU binary says about itself. [`Probed`](super::Probed) has one; it has no example of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuInfo {
    /// Its version.
    pub version: QemuVersion,
    /// The accelerators compiled in: `tcg`, `kvm`, ...
    pub accelerators: Vec<String>,
    /// Whether it has `-sandbox`.
    pub seccomp: bool,
    /// Whether `io_uring` is among its aio modes.
    pub io_uring: bool,
    /// The devices that it has, by QEMU's names, sorted.
    pub devices: Vec<String>,
}

impl QemuInfo {
    /// Whether the binary has a device.
    pub fn has_device(&self, name: &str) -> bool {
        self.devices.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }
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

/// Asks `binary`, within `limit`.
pub(super) fn ask(binary: &OsStr, limit: Duration) -> Result<QemuInfo, QemuProbeError> {
    let deadline = after(limit);
    let start = |error| QemuProbeError::Start { reason: cannot_start(binary, &error) };
    let mut command = Command::new(binary);
    command.args(["-M", "none", "-nodefaults", "-no-user-config", "-S", "-display", "none", "-qmp", "stdio"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // `-M none` has nothing to lose, so killing it is the fastest clean end; the guard does it on every way out.
    let mut child = Reaped(command.spawn().map_err(start)?);
    let (Some(input), Some(output), Some(stderr)) =
        (child.0.stdout.take(), child.0.stdin.take(), child.0.stderr.take())
    else {
        return Err(QemuProbeError::Start { reason: "a pipe is missing".to_owned() });
    };
    let stderr = collected(stderr);
    let asked = session(OwnedFd::from(input), OwnedFd::from(output), deadline);
    asked.map_err(|error| {
        drop(child);
        let said = last_line(&stderr.recv_timeout(Duration::from_secs(1)).unwrap_or_default());
        let reason = if said.is_empty() { error.to_string() } else { said };
        QemuProbeError::Session { binary: binary.display().to_string(), reason }
    })
}

fn session(input: OwnedFd, output: OwnedFd, deadline: Instant) -> Result<QemuInfo, QmpError> {
    let mut qmp = Qmp::over(input, output, left(deadline))?;
    qmp.set_memory_limit(MEMORY);
    let [accelerators, sandbox, schema, devices] = qmp.execute_all(
        [
            ("qom-list-types", Some(json!({ "implements": "accel" }))),
            ("query-command-line-options", Some(json!({ "option": "sandbox" }))),
            ("query-qmp-schema", None),
            ("qom-list-types", Some(json!({ "implements": "device", "abstract": false }))),
        ],
        left(deadline),
    )?;
    let mut devices = names(&devices?);
    devices.sort_unstable();
    Ok(QemuInfo {
        version: qmp.version(),
        accelerators: names(&accelerators?)
            .iter()
            .filter_map(|name| Some(name.strip_suffix("-accel")?.to_owned()))
            .collect(),
        // A binary without seccomp does not know the option, and says so.
        seccomp: sandbox.is_ok_and(|options| options.as_array().is_some_and(|options| !options.is_empty())),
        io_uring: aio_modes(&schema?).any(|mode| mode == "io_uring"),
        devices,
    })
}

fn names(types: &Value) -> Vec<String> {
    types.as_array().into_iter().flatten().filter_map(|ty| Some(ty["name"].as_str()?.to_owned())).collect()
}

/// The values of the enum `BlockdevAioOptions`. The schema hides its name, but `threads` beside `native` is in no other.
fn aio_modes(schema: &Value) -> impl Iterator<Item = &str> {
    let is_it =
        |values: &&Vec<Value>| ["threads", "native"].iter().all(|mode| values.iter().any(|value| value == mode));
    let enums = schema.as_array().into_iter().flatten().filter(|entry| entry["meta-type"] == "enum");
    enums.filter_map(|entry| entry["values"].as_array()).filter(is_it).flatten().filter_map(Value::as_str)
}
