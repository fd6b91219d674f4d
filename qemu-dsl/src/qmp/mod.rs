//! QMP, QEMU's machine protocol: JSON objects, one a line, over a socket or a pair of pipes. Synchronous; every wait has
//! a limit. (QEMU documentation, "QMP protocol specification")
//!
//! ```no_run
//! use std::time::Duration;
//! use qemu_dsl::qmp::Qmp;
//!
//! let mut qmp = Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
//! println!("QEMU {}", qmp.version());
//! let status = qmp.execute("query-status", None, Duration::from_secs(1))?;
//! println!("{}", status["status"]);
//! # Ok::<(), qemu_dsl::qmp::QmpError>(())
//! ```

mod lines;
mod stall;
mod typed;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::QemuVersion;
use crate::connect::connect;
use crate::deadline::left;
pub(crate) use lines::{Lines, ReadLine};
use stall::Stall;
pub use typed::{BlockInfo, ChardevInfo, Events, RunState};

/// The longest message that is taken from QEMU. `query-qmp-schema`, the longest usual one, has 0.2 MB.
const MAX_LINE: usize = 16 << 20;

/// The command that ends the greeting.
const CAPABILITIES: &str = "qmp_capabilities";

/// A QMP session, past its greeting. [The module](self) has an example.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines,
    version: QemuVersion,
    next_id: u64,
    events: VecDeque<Event>,
}

/// Something that QEMU said by itself.
///
/// ```no_run
/// # use std::time::Duration;
/// # let mut qmp = qemu_dsl::qmp::Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
/// while let Some(event) = qmp.next_event(Duration::from_secs(10))? {
///     println!("{}: {}", event.name, event.data);
/// }
/// # Ok::<(), qemu_dsl::qmp::QmpError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name: `SHUTDOWN`, `STOP`, `POWERDOWN`, ...
    pub name: String,
    /// What came with it; null where nothing did.
    pub data: Value,
}

/// Why a QMP session failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QmpError {
    /// The socket cannot be connected to.
    #[error("cannot connect to QMP at `{path}`: {source}")]
    Connect {
        /// The socket.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("QMP broke off: {0}")]
    Io(#[from] io::Error),
    /// QEMU closed the session.
    #[error("QEMU closed the QMP session")]
    Closed,
    /// QEMU did not answer in time.
    #[error("QEMU did not answer `{command}` within {limit:?}")]
    Timeout {
        /// The command, or "greeting".
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// A message longer than any that QEMU sends.
    #[error("QEMU sent a message of more than 16 MiB")]
    TooLong,
    /// A message that is not QMP.
    #[error("QEMU sent what is not QMP: `{text}`")]
    Malformed {
        /// Its beginning.
        text: String,
    },
    /// QEMU refused the command.
    #[error("QEMU refused `{command}`: {desc} ({class})")]
    Refused {
        /// The command.
        command: String,
        /// The class of the error: `GenericError`, `CommandNotFound`, ...
        class: String,
        /// What QEMU says about it.
        desc: String,
    },
}

impl Qmp {
    /// Connects to a socket that QEMU listens on, and ends the greeting.
    ///
    /// # Errors
    ///
    /// [`QmpError`]: nobody listens, or what answers within `limit` is not QMP.
    pub fn connect(path: impl AsRef<Path>, limit: Duration) -> Result<Self, QmpError> {
        let path = path.as_ref();
        let deadline = Instant::now() + limit;
        Self::over_socket(path, deadline, || {
            connect(path, left(deadline))
                .map_err(|source| QmpError::Connect { path: path.display().to_string(), source })
        })
    }

    /// Starts a session over connections to a socket that QEMU listens on: one, and another if QEMU does not answer the first.
    pub(crate) fn over_socket<E: From<QmpError>>(
        path: &Path,
        deadline: Instant,
        connect: impl Fn() -> Result<UnixStream, E>,
    ) -> Result<Self, E> {
        let greeted = || -> Result<Self, E> {
            let stream = connect()?;
            let output = stream.try_clone().map_err(QmpError::from)?;
            Ok(Self::greeted(stream.into(), output.into(), left(deadline))?)
        };
        let mut qmp = greeted()?;
        match qmp.agree_unless_stalled(path, Stall::of(deadline)) {
            Err(QmpError::Timeout { .. }) if Instant::now() < deadline => {}
            agreed => return Ok(agreed.map(|()| qmp)?),
        }
        drop(qmp);
        let mut qmp = greeted()?;
        qmp.agree(left(deadline))?;
        Ok(qmp)
    }

    /// Starts a session over a pair of file descriptors, such as the pipes of `-qmp stdio`.
    ///
    /// # Errors
    ///
    /// [`QmpError`]: what answers within `limit` is not QMP.
    ///
    /// ```
    /// use std::time::Duration;
    /// use qemu_dsl::qmp::{Qmp, QmpError};
    /// let (silent, peer) = std::os::unix::net::UnixStream::pair()?;
    /// let error = Qmp::over(silent.try_clone()?.into(), silent.into(), Duration::from_millis(5)).unwrap_err();
    /// assert!(matches!(error, QmpError::Timeout { .. }));
    /// # drop(peer);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn over(input: OwnedFd, output: OwnedFd, limit: Duration) -> Result<Self, QmpError> {
        let deadline = Instant::now() + limit;
        let mut qmp = Self::greeted(input, output, limit)?;
        qmp.agree(left(deadline))?;
        Ok(qmp)
    }

    /// A session whose greeting has come.
    fn greeted(input: OwnedFd, output: OwnedFd, limit: Duration) -> Result<Self, QmpError> {
        let lines = Lines::new(input, output, MAX_LINE)?;
        let mut qmp = Self { lines, version: QemuVersion::new(0, 0, 0), next_id: 0, events: VecDeque::new() };
        let deadline = Instant::now() + limit;
        let mut greeting = qmp.message(deadline, "greeting", limit)?;
        // A client that is early gets events before the greeting.
        while greeting["event"].is_string() {
            qmp.keep_event(&greeting);
            greeting = qmp.message(deadline, "greeting", limit)?;
        }
        qmp.version = version(&greeting).ok_or_else(|| malformed(greeting.to_string().as_bytes()))?;
        Ok(qmp)
    }

    /// Ends the greeting: from here on, QEMU takes commands.
    fn agree(&mut self, limit: Duration) -> Result<(), QmpError> {
        self.execute(CAPABILITIES, None, limit).map(drop)
    }

    /// The same, with help for a QEMU that does not answer.
    fn agree_unless_stalled(&mut self, socket: &Path, stall: Stall) -> Result<(), QmpError> {
        let id = self.send(CAPABILITIES, None, left(stall.lost))?;
        let mut agreed = self.reply(id, CAPABILITIES, left(stall.suspected));
        if matches!(agreed, Err(QmpError::Timeout { .. })) {
            stall::end(socket);
            agreed = self.reply(id, CAPABILITIES, left(stall.lost));
        }
        agreed.map(drop)
    }

    /// The version in the greeting.
    pub fn version(&self) -> QemuVersion {
        self.version
    }

    /// Runs a command and returns its reply. Events that come before it are kept for [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// [`QmpError::Refused`] when QEMU says no; other errors end the session.
    pub fn execute(&mut self, command: &str, arguments: Option<Value>, limit: Duration) -> Result<Value, QmpError> {
        let id = self.send(command, arguments, limit)?;
        self.reply(id, command, limit)
    }

    /// Runs several commands, all sent before the first reply is read. A refused one does not keep back the others.
    ///
    /// # Errors
    ///
    /// The session itself failed.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # let mut qmp = qemu_dsl::qmp::Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
    /// let [status, name] = qmp.execute_all([("query-status", None), ("query-name", None)], Duration::from_secs(1))?;
    /// println!("{} {}", status?, name?);
    /// # Ok::<(), qemu_dsl::qmp::QmpError>(())
    /// ```
    pub fn execute_all<const N: usize>(
        &mut self,
        commands: [(&str, Option<Value>); N],
        limit: Duration,
    ) -> Result<[Result<Value, QmpError>; N], QmpError> {
        let mut sent = Vec::with_capacity(N);
        for (command, arguments) in commands {
            sent.push((self.send(command, arguments, limit)?, command));
        }
        let mut replies = Vec::with_capacity(N);
        for (id, command) in sent {
            match self.reply(id, command, limit) {
                Ok(reply) => replies.push(Ok(reply)),
                Err(refused @ QmpError::Refused { .. }) => replies.push(Err(refused)),
                Err(error) => return Err(error),
            }
        }
        replies.try_into().map_err(|_| QmpError::Closed)
    }

    /// The next event, or [`None`] when there is none within `limit`.
    ///
    /// # Errors
    ///
    /// The session itself failed; [`QmpError::Closed`] when QEMU has ended.
    pub fn next_event(&mut self, limit: Duration) -> Result<Option<Event>, QmpError> {
        let deadline = Instant::now() + limit;
        while self.events.is_empty() {
            match self.message(deadline, "event", limit) {
                Ok(message) => self.keep_event(&message),
                Err(QmpError::Timeout { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.events.pop_front())
    }

    fn send(&mut self, command: &str, arguments: Option<Value>, limit: Duration) -> Result<u64, QmpError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({ "execute": command, "id": id });
        if let Some(arguments) = arguments {
            message["arguments"] = arguments;
        }
        let text = message.to_string() + "\n";
        match self.lines.write(text.as_bytes(), Instant::now() + limit) {
            Ok(true) => Ok(id),
            Ok(false) => Err(QmpError::Timeout { command: command.to_owned(), limit }),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(QmpError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the reply to `id`. Replies to earlier commands, whose callers gave up, are dropped.
    fn reply(&mut self, id: u64, command: &str, limit: Duration) -> Result<Value, QmpError> {
        let deadline = Instant::now() + limit;
        loop {
            let mut message = self.message(deadline, command, limit)?;
            if message["id"] != id {
                self.keep_event(&message);
                continue;
            }
            if let Some(error) = message.get("error") {
                let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                return Err(QmpError::Refused {
                    command: command.to_owned(),
                    class: text("class"),
                    desc: text("desc"),
                });
            }
            return Ok(message["return"].take());
        }
    }

    fn keep_event(&mut self, message: &Value) {
        if let Some(name) = message["event"].as_str() {
            self.events.push_back(Event { name: name.to_owned(), data: message["data"].clone() });
        }
    }

    fn message(&mut self, deadline: Instant, command: &str, limit: Duration) -> Result<Value, QmpError> {
        loop {
            match self.lines.read(deadline)? {
                ReadLine::Line(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                ReadLine::Line(line) => return serde_json::from_slice(&line).map_err(|_| malformed(&line)),
                ReadLine::Timeout => return Err(QmpError::Timeout { command: command.to_owned(), limit }),
                ReadLine::Closed => return Err(QmpError::Closed),
                ReadLine::TooLong => return Err(QmpError::TooLong),
            }
        }
    }
}

fn malformed(line: &[u8]) -> QmpError {
    QmpError::Malformed { text: String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned() }
}

fn version(greeting: &Value) -> Option<QemuVersion> {
    let version = &greeting["QMP"]["version"]["qemu"];
    let number = |key: &str| version[key].as_u64().and_then(|number| u16::try_from(number).ok());
    Some(QemuVersion::new(number("major")?, number("minor")?, number("micro")?))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};

    use super::*;

    const GREETING: &str =
        r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 1, "major": 9}}, "capabilities": []}}"#;

    /// A session with a peer that answers each line with what `answer` makes of its id.
    fn session(answer: impl Fn(&str, u64) -> String + Send + 'static) -> Result<Qmp, QmpError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut out = theirs.try_clone().unwrap();
            writeln!(out, "{GREETING}").unwrap();
            for line in BufReader::new(theirs).lines() {
                let message: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let answer = answer(message["execute"].as_str().unwrap(), message["id"].as_u64().unwrap());
                if writeln!(out, "{answer}").is_err() {
                    return;
                }
            }
        });
        Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::from_secs(5))
    }

    #[test]
    fn replies_are_matched_by_id_with_events_and_late_replies_between() {
        let mut qmp = session(|command, id| match command {
            "late" => String::new(),
            "query-status" => format!(
                "{{\"return\": \"late\", \"id\": {}}}\n{{\"event\": \"STOP\"}}\n{{\"return\": {{\"status\": \"paused\"}}, \"id\": {id}}}",
                id - 1
            ),
            _ => format!("{{\"return\": {{}}, \"id\": {id}}}"),
        })
        .unwrap();
        assert_eq!(qmp.version(), QemuVersion::new(9, 1, 2));
        let late = qmp.execute("late", None, Duration::from_millis(10));
        assert!(matches!(late, Err(QmpError::Timeout { ref command, .. }) if command == "late"), "{late:?}");
        let status = qmp.execute("query-status", None, Duration::from_secs(5)).unwrap();
        assert_eq!(status["status"], "paused");
        let event = qmp.next_event(Duration::from_secs(5)).unwrap().unwrap();
        assert_eq!(event, Event { name: "STOP".to_owned(), data: Value::Null });
        assert_eq!(qmp.next_event(Duration::from_millis(1)).unwrap(), None);
    }

    #[test]
    fn a_refusal_is_an_error_with_qemus_words() {
        let mut qmp = session(|command, id| match command {
            "nope" => format!("{{\"error\": {{\"class\": \"CommandNotFound\", \"desc\": \"no nope\"}}, \"id\": {id}}}"),
            _ => format!("{{\"return\": {{}}, \"id\": {id}}}"),
        })
        .unwrap();
        let error = qmp.execute("nope", None, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused `nope`: no nope (CommandNotFound)");
        let [nope, fine] = qmp.execute_all([("nope", None), ("fine", None)], Duration::from_secs(5)).unwrap();
        assert!(nope.is_err() && fine.is_ok());
    }

    #[test]
    fn events_may_come_before_the_greeting() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"{\"event\": \"RESUME\"}\n").unwrap();
        writeln!(theirs, "{GREETING}").unwrap();
        theirs.write_all(b"{\"return\": {}, \"id\": 0}\n").unwrap();
        let mut qmp = Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::from_secs(5)).unwrap();
        assert_eq!(qmp.next_event(Duration::ZERO).unwrap().map(|event| event.name).as_deref(), Some("RESUME"));
    }

    #[test]
    fn garbage_and_a_closed_session_are_errors() {
        let error = session(|_, _| "garbage".to_owned()).unwrap_err();
        assert!(matches!(error, QmpError::Malformed { ref text } if text == "garbage"), "{error}");
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let error = Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::from_secs(5)).unwrap_err();
        assert!(matches!(error, QmpError::Closed), "{error}");
    }
}
