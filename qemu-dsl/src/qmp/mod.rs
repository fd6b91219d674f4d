//! QMP, QEMU's machine protocol: JSON objects, one a line, over a socket or a pair of pipes. Synchronous. (QEMU documentation,
//! "QMP protocol specification")
//!
//! A QEMU that its guest has escaped from may send anything. Every wait has a limit, which holds however much QEMU says meanwhile;
//! [`Duration::MAX`] is none. And a session costs at most 1 MiB, or what [`Qmp::set_memory_limit`] allows, also where QEMU sends
//! messages or events without an end.
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

mod ending;
mod error;
mod lines;
mod stall;
mod typed;
mod weight;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::QemuVersion;
use crate::connect::connect;
use crate::deadline::{Until, after, left};
use ending::Ending;
pub use ending::{Shutdown, ShutdownReason};
pub use error::QmpError;
use error::malformed;
pub(crate) use lines::{Lines, ReadLine, Written};
use stall::Stall;
pub use typed::{BlockInfo, ChardevInfo, Events, RunState};

/// The memory that a session may use. What QEMU says of a machine is shorter by far; lists of what a binary has may be longer.
const MEMORY: usize = 1 << 20;
/// Enough for greetings and errors.
const LEAST_MEMORY: usize = 64 << 10;
/// Parts of the memory: for the text of one message, for the events that wait, and for what a message says. The rest is for texts
/// with escapes, which are taken apart in a second place.
const LINE_PART: usize = 8;
const EVENTS_PART: usize = 8;
const MESSAGE_PART: usize = 2;
/// How many events wait at most.
const MAX_EVENTS: usize = 1024;

/// The command that ends the greeting.
const CAPABILITIES: &str = "qmp_capabilities";

/// A QMP session, past its greeting. [The module](self) has an example.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines,
    version: QemuVersion,
    next_id: u64,
    memory: usize,
    events: VecDeque<Event>,
    /// What they cost.
    events_cost: usize,
    events_dropped: u64,
    ending: Ending,
    /// Where the next message starts, in one direction or the other, nobody knows.
    is_unusable: bool,
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

impl Qmp {
    /// Connects to a socket that QEMU listens on, and ends the greeting.
    ///
    /// # Errors
    ///
    /// [`QmpError`]: nobody listens, or what answers within `limit` is not QMP.
    pub fn connect(path: impl AsRef<Path>, limit: Duration) -> Result<Self, QmpError> {
        let path = path.as_ref();
        let deadline = after(limit);
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
            Ok(Self::greeted(stream.into(), output.into(), Until::at(deadline))?)
        };
        let mut qmp = greeted()?;
        match qmp.agree_unless_stalled(path, Stall::of(deadline)) {
            Err(QmpError::Timeout { .. }) if Instant::now() < deadline => {}
            agreed => return Ok(agreed.map(|()| qmp)?),
        }
        drop(qmp);
        let mut qmp = greeted()?;
        qmp.agree(Until::at(deadline))?;
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
        let until = Until::after(limit);
        let mut qmp = Self::greeted(input, output, until)?;
        qmp.agree(until)?;
        Ok(qmp)
    }

    /// A session whose greeting has come.
    fn greeted(input: OwnedFd, output: OwnedFd, until: Until) -> Result<Self, QmpError> {
        let mut qmp = Self {
            lines: Lines::new(input, output, MEMORY / LINE_PART)?,
            version: QemuVersion::new(0, 0, 0),
            next_id: 0,
            memory: MEMORY,
            events: VecDeque::new(),
            events_cost: 0,
            events_dropped: 0,
            ending: Ending::default(),
            is_unusable: false,
        };
        loop {
            let greeting = qmp.message(until, "greeting")?;
            // A client that is early gets events before the greeting.
            if !greeting["event"].is_string() {
                qmp.version = version(&greeting).ok_or_else(|| malformed(greeting.to_string().as_bytes()))?;
                return Ok(qmp);
            }
            qmp.keep_event(greeting);
            timely(until, "greeting")?;
        }
    }

    /// Ends the greeting: from here on, QEMU takes commands.
    fn agree(&mut self, until: Until) -> Result<(), QmpError> {
        let id = self.send(CAPABILITIES, None, until)?;
        self.reply(id, CAPABILITIES, until).map(drop)
    }

    /// The same, with help for a QEMU that does not answer.
    fn agree_unless_stalled(&mut self, socket: &Path, stall: Stall) -> Result<(), QmpError> {
        let id = self.send(CAPABILITIES, None, Until::at(stall.lost))?;
        let mut agreed = self.reply(id, CAPABILITIES, Until::at(stall.suspected));
        if matches!(agreed, Err(QmpError::Timeout { .. })) {
            stall::end(socket);
            agreed = self.reply(id, CAPABILITIES, Until::at(stall.lost));
        }
        agreed.map(drop)
    }

    /// The version in the greeting.
    pub fn version(&self) -> QemuVersion {
        self.version
    }

    /// Lets the session use so many bytes of memory, instead of 1 MiB; less than 64 KiB is taken for 64 KiB. An eighth of it is for
    /// the text of one message, a half for what is in the message, and an eighth for events that nobody has taken yet. A longer
    /// message is an error ([`QmpError::TooLong`]): long lists of what a binary has need more, such as `query-qmp-schema` and, of
    /// recent QEMUs, `query-cpu-definitions`. What was returned is the caller's, and not counted.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # let mut qmp = qemu_dsl::qmp::Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
    /// // 0.2 MB of text, and 5 MB in memory.
    /// qmp.set_memory_limit(16 << 20);
    /// let schema = qmp.execute("query-qmp-schema", None, Duration::from_secs(5))?;
    /// # Ok::<(), qemu_dsl::qmp::QmpError>(())
    /// ```
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.memory = bytes.max(LEAST_MEMORY);
        self.lines.set_max_line(self.memory / LINE_PART);
        self.drop_old_events();
    }

    /// Runs a command and returns its reply. Events that come before it are kept for [`next_event`](Self::next_event). The limit is
    /// that of sending and of waiting, together.
    ///
    /// # Errors
    ///
    /// [`QmpError::Refused`] when QEMU says no. After [`QmpError::Timeout`] the session can go on, unless QEMU has not even read the
    /// whole command: a reply that comes late is dropped. Other errors end the session.
    pub fn execute(&mut self, command: &str, arguments: Option<Value>, limit: Duration) -> Result<Value, QmpError> {
        let until = Until::after(limit);
        let id = self.send(command, arguments, until)?;
        self.reply(id, command, until)
    }

    /// Runs several commands, all sent before the first reply is read, within one limit. A refused one does not keep back the
    /// others.
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
        let until = Until::after(limit);
        let mut sent = Vec::with_capacity(N);
        for (command, arguments) in commands {
            sent.push((self.send(command, arguments, until)?, command));
        }
        let mut replies = Vec::with_capacity(N);
        for (id, command) in sent {
            match self.reply(id, command, until) {
                Ok(reply) => replies.push(Ok(reply)),
                Err(refused @ QmpError::Refused { .. }) => replies.push(Err(refused)),
                Err(error) => return Err(error),
            }
        }
        replies.try_into().map_err(|_| QmpError::Closed)
    }

    /// The next event, or [`None`] when there is none within `limit`. Events wait until somebody takes them, 1024 of them at most:
    /// then the oldest are [dropped](Self::events_dropped).
    ///
    /// # Errors
    ///
    /// The session itself failed; [`QmpError::Closed`] when QEMU has ended.
    pub fn next_event(&mut self, limit: Duration) -> Result<Option<Event>, QmpError> {
        let until = Until::after(limit);
        loop {
            if let Some(event) = self.events.pop_front() {
                self.events_cost -= weight::of_event(&event);
                return Ok(Some(event));
            }
            match self.message(until, "event") {
                Ok(message) => self.keep_event(message),
                Err(QmpError::Timeout { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
            if self.events.is_empty() && until.has_passed() {
                return Ok(None);
            }
        }
    }

    /// How many events were dropped, since nobody took them and the session has [a limit](Self::set_memory_limit). What
    /// [`shutdown`](Self::shutdown), [`guest_panicked`](Self::guest_panicked) and [`nospace_errors`](Self::nospace_errors) tell
    /// is known all the same.
    pub fn events_dropped(&self) -> u64 {
        self.events_dropped
    }

    /// Why the machine ended, if QEMU has said so: its last `SHUTDOWN` event. It is known as soon as the event was read, by whatever
    /// call.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// use qemu_dsl::qmp::{Qmp, ShutdownReason};
    /// let mut qmp = Qmp::connect("/run/vm/qmp.sock", Duration::from_secs(5))?;
    /// while let Ok(Some(event)) = qmp.next_event(Duration::from_secs(60)) {
    ///     println!("{}", event.name);
    /// }
    /// if qmp.shutdown().is_some_and(|shutdown| shutdown.reason == ShutdownReason::GuestReset) {
    ///     println!("the guest rebooted");
    /// }
    /// # Ok::<(), qemu_dsl::qmp::QmpError>(())
    /// ```
    pub fn shutdown(&self) -> Option<&Shutdown> {
        self.ending.shutdown.as_ref()
    }

    /// Whether the guest has said that it panicked: a `GUEST_PANICKED` event, which takes a `pvpanic` device.
    pub fn guest_panicked(&self) -> bool {
        self.ending.guest_panicked
    }

    /// How many reads and writes of the guest's failed because the host had no space left: `BLOCK_IO_ERROR` events with `nospace`.
    pub fn nospace_errors(&self) -> u64 {
        self.ending.nospace_errors
    }

    /// Reads what is there still, until QEMU closes the session: what it said about its end.
    pub(crate) fn drain(&mut self, deadline: Instant) {
        self.read_to_end(Until::at(deadline));
    }

    fn read_to_end(&mut self, until: Until) {
        while let Ok(message) = self.message(until, "end") {
            self.keep_event(message);
            if until.has_passed() {
                return;
            }
        }
    }

    /// Tells QEMU to quit. [`QmpError::Closed`] when the session was closed before QEMU had heard of it, as it is when the machine
    /// ends by itself.
    pub(crate) fn quit_answered(&mut self, limit: Duration) -> Result<(), QmpError> {
        let until = Until::after(limit);
        let quit = self.send("quit", None, until).and_then(|id| self.reply(id, "quit", until));
        if matches!(quit, Err(QmpError::Closed)) {
            self.read_to_end(until);
            // Then it was heard, and only the reply got lost.
            if self.shutdown().is_some_and(|shutdown| shutdown.reason == ShutdownReason::HostQmpQuit) {
                return Ok(());
            }
        }
        quit.map(drop)
    }

    fn send(&mut self, command: &str, arguments: Option<Value>, until: Until) -> Result<u64, QmpError> {
        if self.is_unusable {
            return Err(QmpError::Unusable);
        }
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({ "execute": command, "id": id });
        if let Some(arguments) = arguments {
            message["arguments"] = arguments;
        }
        let written = self.lines.write([message.to_string().as_bytes(), b"\n"], until.deadline);
        self.is_unusable = !matches!(written, Ok(Written::All | Written::Nothing));
        match written {
            Ok(Written::All) => Ok(id),
            Ok(Written::Nothing | Written::Part) => Err(timeout(command, until)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // What QEMU said before it closed the session can still be read.
                self.is_unusable = false;
                Err(QmpError::Closed)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the reply to `id`. Replies to earlier commands, whose callers gave up, are dropped.
    fn reply(&mut self, id: u64, command: &str, until: Until) -> Result<Value, QmpError> {
        loop {
            let mut message = self.message(until, command)?;
            if message["id"] == id {
                let Some(error) = message.get("error") else { return Ok(message["return"].take()) };
                let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                return Err(QmpError::Refused {
                    command: command.to_owned(),
                    class: text("class"),
                    desc: text("desc"),
                });
            }
            self.keep_event(message);
            timely(until, command)?;
        }
    }

    /// Keeps a message that is an event.
    fn keep_event(&mut self, mut message: Value) {
        let Some(name) = message["event"].as_str().map(ToOwned::to_owned) else { return };
        let event = Event { name, data: message.get_mut("data").map(Value::take).unwrap_or_default() };
        self.ending.note(&event.name, &event.data);
        let cost = weight::of_event(&event);
        if cost > self.memory / EVENTS_PART {
            self.events_dropped = self.events_dropped.saturating_add(1);
            return;
        }
        self.events_cost += cost;
        self.events.push_back(event);
        self.drop_old_events();
    }

    fn drop_old_events(&mut self) {
        while self.events.len() > MAX_EVENTS || self.events_cost > self.memory / EVENTS_PART {
            let Some(oldest) = self.events.pop_front() else { return };
            self.events_cost -= weight::of_event(&oldest);
            self.events_dropped = self.events_dropped.saturating_add(1);
        }
    }

    /// The next message. `what` is waited for, as an error words it.
    fn message(&mut self, until: Until, what: &str) -> Result<Value, QmpError> {
        if self.is_unusable {
            return Err(QmpError::Unusable);
        }
        loop {
            let error = match self.lines.read(until.deadline) {
                Ok(ReadLine::Line(line)) if line.iter().all(u8::is_ascii_whitespace) => {
                    timely(until, what)?;
                    continue;
                }
                // Weighed first: what is too much must not be built.
                Ok(ReadLine::Line(line)) if weight::weight(line) > self.memory / MESSAGE_PART => {
                    QmpError::TooLong { limit: self.memory }
                }
                Ok(ReadLine::Line(line)) => match serde_json::from_slice(line) {
                    Ok(message) => return Ok(message),
                    Err(_) => malformed(line),
                },
                Ok(ReadLine::Timeout) => return Err(timeout(what, until)),
                Ok(ReadLine::Closed) => return Err(QmpError::Closed),
                Ok(ReadLine::TooLong) => QmpError::TooLong { limit: self.memory },
                Err(error) => error.into(),
            };
            self.is_unusable = true;
            return Err(error);
        }
    }
}

fn timeout(what: &str, until: Until) -> QmpError {
    QmpError::Timeout { command: what.to_owned(), limit: until.limit }
}

/// Looks at the clock where a message was not the one that is waited for: there may be no end of such messages.
fn timely(until: Until, what: &str) -> Result<(), QmpError> {
    if until.has_passed() { Err(timeout(what, until)) } else { Ok(()) }
}

fn version(greeting: &Value) -> Option<QemuVersion> {
    let version = &greeting["QMP"]["version"]["qemu"];
    let number = |key: &str| version[key].as_u64().and_then(|number| u16::try_from(number).ok());
    Some(QemuVersion::new(number("major")?, number("minor")?, number("micro")?))
}

#[cfg(test)]
mod tests;
