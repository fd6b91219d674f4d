//! The commands that most programs need, with types.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Event, Qmp, QmpError};

/// What a machine is doing. (QEMU documentation, "QMP reference manual", `RunState`)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunState {
    /// The guest runs.
    Running,
    /// The guest was stopped, or has not started yet (`-S`).
    Paused,
    /// The guest has powered off, and QEMU stays (`-no-shutdown`).
    Shutdown,
    /// An error stopped the guest: of the disk, of KVM, or its own panic.
    Failed,
    /// Another state, such as one of migration.
    Other,
}

/// A character device, as QEMU sees it.
///
/// ```no_run
/// # use std::time::Duration;
/// # let mut qmp = qemu_dsl::qmp::Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
/// for chardev in qmp.chardevs(Duration::from_secs(1))? {
///     println!("{} at {}, open in the guest: {}", chardev.label, chardev.filename, chardev.frontend_open);
/// }
/// # Ok::<(), qemu_dsl::qmp::QmpError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChardevInfo {
    /// Its id.
    pub label: String,
    /// What is behind it, as QEMU words it.
    pub filename: String,
    /// Whether the guest has opened the device in front of it.
    pub frontend_open: bool,
}

/// A block device, as QEMU sees it.
///
/// ```no_run
/// # use std::time::Duration;
/// # let mut qmp = qemu_dsl::qmp::Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
/// for block in qmp.blocks(Duration::from_secs(1))? {
///     println!("{}: {:?}", block.device, block.file);
/// }
/// # Ok::<(), qemu_dsl::qmp::QmpError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// The id of the drive.
    pub device: String,
    /// The image file, if there is one.
    pub file: Option<String>,
    /// Whether the guest may only read.
    pub read_only: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The events of a session.
///
/// ```no_run
/// use std::time::Duration;
/// # let mut qmp = qemu_dsl::qmp::Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
/// for event in qmp.events(Duration::from_secs(60)) {
///     println!("{}", event?.name);
/// }
/// # Ok::<(), qemu_dsl::qmp::QmpError>(())
/// ```
#[derive(Debug)]
pub struct Events<'a> {
    qmp: &'a mut Qmp,
    limit: Duration,
    ended: bool,
}

impl Iterator for Events<'_> {
    type Item = Result<Event, QmpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = self.qmp.next_event(self.limit).transpose();
        self.ended = !matches!(event, Some(Ok(_)));
        event
    }
}

/// Commands with types. Each waits `limit` at most for the reply; errors are those of [`Qmp::execute`].
impl Qmp {
    /// What the machine is doing: `query-status`.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// use qemu_dsl::qmp::{Qmp, RunState};
    /// let mut qmp = Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
    /// assert_eq!(qmp.status(Duration::from_secs(1))?, RunState::Running);
    /// # Ok::<(), qemu_dsl::qmp::QmpError>(())
    /// ```
    pub fn status(&mut self, limit: Duration) -> Result<RunState, QmpError> {
        let reply = self.execute("query-status", None, limit)?;
        Ok(match reply["status"].as_str().unwrap_or_default() {
            "running" => RunState::Running,
            "paused" | "prelaunch" | "suspended" | "debug" => RunState::Paused,
            "shutdown" => RunState::Shutdown,
            "internal-error" | "io-error" | "guest-panicked" | "watchdog" => RunState::Failed,
            _ => RunState::Other,
        })
    }

    /// Stops the guest where it is: `stop`. Used like [`cont`](Self::cont).
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub fn stop(&mut self, limit: Duration) -> Result<(), QmpError> {
        self.execute("stop", None, limit).map(drop)
    }

    /// Lets the guest run: `cont`.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # let mut qmp = qemu_dsl::qmp::Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
    /// qmp.stop(Duration::from_secs(1))?;
    /// qmp.cont(Duration::from_secs(1))?;
    /// # Ok::<(), qemu_dsl::qmp::QmpError>(())
    /// ```
    pub fn cont(&mut self, limit: Duration) -> Result<(), QmpError> {
        self.execute("cont", None, limit).map(drop)
    }

    /// Presses the power button: `system_powerdown`.
    /// [`Machine::power_down`](crate::launch::Machine::power_down) also waits for what comes of it.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub fn power_down(&mut self, limit: Duration) -> Result<(), QmpError> {
        self.execute("system_powerdown", None, limit).map(drop)
    }

    /// Ends QEMU: `quit`. [`Machine::end`](crate::launch::Machine::end) also makes sure of it.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute). A session that QEMU closes instead of replying is no error.
    pub fn quit(&mut self, limit: Duration) -> Result<(), QmpError> {
        match self.quit_answered(limit) {
            Ok(()) | Err(QmpError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks the guest for memory, or gives it back, so that it has `bytes`: `balloon`. The guest answers with
    /// `BALLOON_CHANGE` events as it goes.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute); QEMU refuses a machine without a balloon.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # let mut qmp = qemu_dsl::qmp::Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
    /// qmp.set_balloon(128 << 20, Duration::from_secs(1))?;
    /// println!("the guest has {} bytes", qmp.balloon(Duration::from_secs(1))?);
    /// # Ok::<(), qemu_dsl::qmp::QmpError>(())
    /// ```
    pub fn set_balloon(&mut self, bytes: u64, limit: Duration) -> Result<(), QmpError> {
        self.execute("balloon", Some(json!({ "value": bytes })), limit).map(drop)
    }

    /// How many bytes of memory the guest has, without those in the balloon: `query-balloon`.
    /// [`set_balloon`](Self::set_balloon) has an example.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub fn balloon(&mut self, limit: Duration) -> Result<u64, QmpError> {
        let reply = self.execute("query-balloon", None, limit)?;
        reply["actual"].as_u64().ok_or_else(|| super::malformed(reply.to_string().as_bytes()))
    }

    /// The character devices: `query-chardev`. [`ChardevInfo`] has an example.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub fn chardevs(&mut self, limit: Duration) -> Result<Vec<ChardevInfo>, QmpError> {
        let reply = self.execute("query-chardev", None, limit)?;
        let info = |chardev: &Value| ChardevInfo {
            label: text(&chardev["label"]),
            filename: text(&chardev["filename"]),
            frontend_open: chardev["frontend-open"].as_bool().unwrap_or_default(),
        };
        Ok(list(&reply).iter().map(info).collect())
    }

    /// The block devices: `query-block`. [`BlockInfo`] has an example.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub fn blocks(&mut self, limit: Duration) -> Result<Vec<BlockInfo>, QmpError> {
        let reply = self.execute("query-block", None, limit)?;
        let info = |block: &Value| BlockInfo {
            device: text(&block["device"]),
            file: block["inserted"]["file"].as_str().map(ToOwned::to_owned),
            read_only: block["inserted"]["ro"].as_bool().unwrap_or_default(),
        };
        Ok(list(&reply).iter().map(info).collect())
    }

    /// The events, until there is none within `limit`, or the session ends with an error. [`Events`] has an example.
    pub fn events(&mut self, limit: Duration) -> Events<'_> {
        Events { qmp: self, limit, ended: false }
    }
}
