//! Channels to a guest agent: lines of text over a virtio-serial port.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::qmp::{Lines, ReadLine};

/// The longest line that is taken from an agent. The guest is not trusted: it cannot fill the host's memory.
const MAX_LINE: usize = 1 << 20;

/// A channel to a guest agent that speaks in lines.
///
/// ```
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use std::time::{Duration, Instant};
/// use qemu_dsl::launch::Agent;
///
/// let (ours, mut guest) = UnixStream::pair()?;
/// let mut agent = Agent::new(ours)?;
/// guest.write_all(b"pong 1.5\n")?;
/// let answer = agent.ask("ping", Instant::now() + Duration::from_secs(5))?;
/// assert_eq!(answer, "pong 1.5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Agent {
    lines: Lines,
}

/// Why an agent gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Reading or writing failed.
    #[error("the channel to the guest agent broke off: {0}")]
    Io(#[from] io::Error),
    /// The channel was closed: QEMU has ended.
    #[error("the channel to the guest agent was closed")]
    Closed,
    /// No answer in time.
    #[error("the guest agent did not answer in time")]
    Timeout,
    /// A line or frame longer than 1 MiB.
    #[error("a line or frame of more than 1 MiB is no message of a guest agent")]
    TooLong,
}

impl Agent {
    /// A channel over a connected socket.
    ///
    /// # Errors
    ///
    /// The socket cannot be prepared.
    pub fn new(stream: UnixStream) -> Result<Self, AgentError> {
        let output = stream.try_clone()?;
        Ok(Self { lines: Lines::new(stream.into(), output.into(), MAX_LINE)? })
    }

    /// Sends a frame: the length, four bytes with the highest first, and `bytes`, which may hold anything. Waits while the guest
    /// does not read.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask); [`AgentError::TooLong`] for more than 1 MiB.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use std::time::{Duration, Instant};
    /// use qemu_dsl::launch::Agent;
    ///
    /// let (ours, guest) = UnixStream::pair()?;
    /// let soon = Instant::now() + Duration::from_secs(5);
    /// Agent::new(ours)?.send_frame(b"two\nlines", soon)?;
    /// assert_eq!(Agent::new(guest)?.next_frame(soon)?, b"two\nlines");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_frame(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), AgentError> {
        let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MAX_LINE).ok_or(AgentError::TooLong)?;
        let frame = [&length.to_be_bytes(), bytes].concat();
        self.write(&frame, deadline)
    }

    /// The next frame from the guest. [`send_frame`](Self::send_frame) has an example.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn next_frame(&mut self, deadline: Instant) -> Result<Vec<u8>, AgentError> {
        taken(self.lines.read_frame(deadline)?)
    }

    /// Sends a line and returns the next one from the guest.
    ///
    /// # Errors
    ///
    /// [`AgentError`]; [`AgentError::Timeout`] at the deadline.
    pub fn ask(&mut self, line: &str, deadline: Instant) -> Result<String, AgentError> {
        self.tell(line, deadline)?;
        self.next_line(deadline)
    }

    /// Sends a line. Whether it has arrived, only an answer tells: what was sent just before a channel is closed may be lost.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn tell(&mut self, line: &str, deadline: Instant) -> Result<(), AgentError> {
        let line = [line.as_bytes(), b"\n"].concat();
        self.write(&line, deadline)
    }

    fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), AgentError> {
        match self.lines.write(bytes, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(AgentError::Timeout),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(AgentError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// The next line from the guest. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn next_line(&mut self, deadline: Instant) -> Result<String, AgentError> {
        taken(self.lines.read(deadline)?).map(|line| String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Reads lines until one is `line`.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    ///
    /// ```
    /// use std::io::Write;
    /// use std::time::{Duration, Instant};
    /// use qemu_dsl::launch::Agent;
    /// let (ours, mut guest) = std::os::unix::net::UnixStream::pair()?;
    /// guest.write_all(b"booting\nready\n")?;
    /// Agent::new(ours)?.wait_for("ready", Instant::now() + Duration::from_secs(5))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_for(&mut self, line: &str, deadline: Instant) -> Result<(), AgentError> {
        while self.next_line(deadline)? != line {}
        Ok(())
    }
}

fn taken(read: ReadLine) -> Result<Vec<u8>, AgentError> {
    match read {
        ReadLine::Line(bytes) => Ok(bytes),
        ReadLine::Timeout => Err(AgentError::Timeout),
        ReadLine::Closed => Err(AgentError::Closed),
        ReadLine::TooLong => Err(AgentError::TooLong),
    }
}
