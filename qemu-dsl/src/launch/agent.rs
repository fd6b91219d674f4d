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
    /// A line longer than 1 MiB.
    #[error("the guest agent sent a line of more than 1 MiB")]
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

    /// Sends a line and returns the next one from the guest.
    ///
    /// # Errors
    ///
    /// [`AgentError`]; [`AgentError::Timeout`] at the deadline.
    pub fn ask(&mut self, line: &str, deadline: Instant) -> Result<String, AgentError> {
        self.tell(line, deadline)?;
        self.next_line(deadline)
    }

    /// Sends a line.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn tell(&mut self, line: &str, deadline: Instant) -> Result<(), AgentError> {
        let line = [line.as_bytes(), b"\n"].concat();
        if self.lines.write(&line, deadline)? { Ok(()) } else { Err(AgentError::Timeout) }
    }

    /// The next line from the guest. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn next_line(&mut self, deadline: Instant) -> Result<String, AgentError> {
        match self.lines.read(deadline)? {
            ReadLine::Line(line) => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            ReadLine::Timeout => Err(AgentError::Timeout),
            ReadLine::Closed => Err(AgentError::Closed),
            ReadLine::TooLong => Err(AgentError::TooLong),
        }
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
