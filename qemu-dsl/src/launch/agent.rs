//! Channels to a guest agent: lines of text over a virtio-serial port.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::qmp::{Lines, ReadLine, Written};

/// The longest line or frame that is taken from an agent. The guest is not trusted: it cannot fill the host's memory.
const MAX_LINE: usize = 1 << 20;

/// A channel to a guest agent that speaks in lines.
///
/// The agent's answers carry no mark that says which question they belong to. So after a question whose answer did not come in time,
/// [`ask`](Self::ask) is refused ([`AgentError::Spent`]): the answer may still come, and would be taken for that of the next
/// question, also by a new connection to the same channel. [`synchronize`](Self::synchronize) is the way back.
///
/// Every call obeys its deadline however much the guest sends, and an agent costs at most 1 MiB of memory.
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
    channel: Channel,
    /// Whether a message was cut off: what is written next would be taken for its rest.
    is_torn: bool,
}

/// What all connections to a channel know of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channel {
    /// Whether a question was never answered.
    owes_answer: Arc<AtomicBool>,
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
    /// An earlier question on this channel was not answered.
    #[error(
        "an earlier question to the guest agent was never answered, and its answer would be taken for this one's: call \
         `Agent::synchronize` first"
    )]
    Spent,
    /// A line or frame was cut off in the middle, by a deadline.
    #[error(
        "a message to the guest agent was cut off in the middle, and what is sent now would be taken for its rest: connect anew, \
         and call `Agent::synchronize`"
    )]
    Torn,
    /// A line or frame that takes more than 1 MiB. Where the next one starts, nobody knows: the channel is of no use any more.
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
        Self::on_channel(stream, Channel::default())
    }

    /// One more connection to a channel: where an earlier one owes an answer, this one starts spent.
    pub(crate) fn on_channel(stream: UnixStream, channel: Channel) -> Result<Self, AgentError> {
        let output = stream.try_clone()?;
        Ok(Self { lines: Lines::new(stream.into(), output.into(), MAX_LINE)?, channel, is_torn: false })
    }

    /// Sends a frame: the length, four bytes with the highest first, and `bytes`, which may hold anything. Waits while the guest
    /// does not read.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask), and [`AgentError::TooLong`] for more than 1 MiB. Where the deadline passes in the middle, the channel
    /// cannot be written to any more ([`AgentError::Torn`]).
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
        self.write([&length.to_be_bytes(), bytes], deadline)
    }

    /// The next frame from the guest. [`send_frame`](Self::send_frame) has an example.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn next_frame(&mut self, deadline: Instant) -> Result<Vec<u8>, AgentError> {
        taken(self.lines.read_frame(deadline)?)
    }

    /// Sends a line and returns the next one from the guest. Lines that come without a question have to be read before.
    ///
    /// # Errors
    ///
    /// [`AgentError`]; [`AgentError::Timeout`] at the deadline, and [`AgentError::Spent`] from then on.
    pub fn ask(&mut self, line: &str, deadline: Instant) -> Result<String, AgentError> {
        if self.channel.owes_answer.load(Ordering::Acquire) {
            return Err(AgentError::Spent);
        }
        self.question(line, deadline)?;
        let answer = self.next_line(deadline)?;
        self.channel.owes_answer.store(false, Ordering::Release);
        Ok(answer)
    }

    /// Sends a question, after which the channel owes an answer.
    fn question(&mut self, line: &str, deadline: Instant) -> Result<(), AgentError> {
        self.channel.owes_answer.store(true, Ordering::Release);
        self.tell(line, deadline).inspect_err(|error| {
            // Not a byte of it was sent.
            if matches!(error, AgentError::Timeout) && !self.is_torn {
                self.channel.owes_answer.store(false, Ordering::Release);
            }
        })
    }

    /// Finds the place in the channel again after an answer that did not come: sends `question`, and reads until `answer` has come.
    /// All that comes before it belongs to earlier questions, and is dropped. Afterwards the agent can be [asked](Self::ask) again.
    ///
    /// `answer` must be such that no other question has it: with a random number in it, or a counter. The agent must answer its
    /// questions one after the other. The test guest has `echo TEXT` for this.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask). A failed call changes nothing: another can be tried.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    /// use std::time::{Duration, Instant};
    /// use qemu_dsl::launch::{Agent, AgentError};
    ///
    /// let (ours, mut guest) = UnixStream::pair()?;
    /// let mut agent = Agent::new(ours)?;
    /// assert!(matches!(agent.ask("ping", Instant::now()), Err(AgentError::Timeout)));
    /// guest.write_all(b"pong 1.5\n")?; // too late
    /// let soon = Instant::now() + Duration::from_secs(5);
    /// assert!(matches!(agent.ask("status", soon), Err(AgentError::Spent)));
    /// guest.write_all(b"mark 1\nfine\n")?;
    /// agent.synchronize("echo mark 1", "mark 1", soon)?;
    /// assert_eq!(agent.ask("status", soon)?, "fine");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn synchronize(&mut self, question: &str, answer: &str, deadline: Instant) -> Result<(), AgentError> {
        let owed = self.channel.owes_answer.load(Ordering::Acquire);
        self.question(question, deadline).inspect_err(|_| {
            self.channel.owes_answer.fetch_or(owed, Ordering::AcqRel);
        })?;
        self.wait_for(answer, deadline)?;
        self.channel.owes_answer.store(false, Ordering::Release);
        Ok(())
    }

    /// Sends a line that has no answer. Whether it has arrived, only an answer tells: what was sent just before a channel is closed
    /// may be lost.
    ///
    /// # Errors
    ///
    /// As [`send_frame`](Self::send_frame).
    pub fn tell(&mut self, line: &str, deadline: Instant) -> Result<(), AgentError> {
        self.write([line.as_bytes(), b"\n"], deadline)
    }

    fn write(&mut self, parts: [&[u8]; 2], deadline: Instant) -> Result<(), AgentError> {
        if self.is_torn {
            return Err(AgentError::Torn);
        }
        match self.lines.write(parts, deadline) {
            Ok(Written::All) => return Ok(()),
            Ok(Written::Nothing) => return Err(AgentError::Timeout),
            Ok(Written::Part) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(AgentError::Closed),
            Err(error) => return Err(error.into()),
        }
        // The next connection may find the message's beginning there.
        self.is_torn = true;
        self.channel.owes_answer.store(true, Ordering::Release);
        Err(AgentError::Timeout)
    }

    /// The next line from the guest. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn next_line(&mut self, deadline: Instant) -> Result<String, AgentError> {
        text(taken(self.lines.read_owned(deadline)?)?)
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
        while taken(self.lines.read(deadline)?)?.trim_ascii_end() != line.as_bytes() {
            // There may be no end of other lines.
            if Instant::now() >= deadline {
                return Err(AgentError::Timeout);
            }
        }
        Ok(())
    }
}

fn taken<T>(read: ReadLine<T>) -> Result<T, AgentError> {
    match read {
        ReadLine::Line(bytes) => Ok(bytes),
        ReadLine::Timeout => Err(AgentError::Timeout),
        ReadLine::Closed => Err(AgentError::Closed),
        ReadLine::TooLong => Err(AgentError::TooLong),
    }
}

/// A line as text. What is no text grows to three times its length; with the line itself it must not be more than the longest line.
fn text(line: Vec<u8>) -> Result<String, AgentError> {
    let mut text = String::from_utf8(line).or_else(|error| {
        let line = error.as_bytes();
        let replaced = line.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
        if 2 * line.len() + replaced * char::REPLACEMENT_CHARACTER.len_utf8() > MAX_LINE {
            return Err(AgentError::TooLong);
        }
        Ok(String::from_utf8_lossy(line).into_owned())
    })?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn a_late_answer_is_nobody_elses() {
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let mut agent = Agent::new(ours).unwrap();
        let late = agent.ask("ping", Instant::now() + Duration::from_millis(1));
        assert!(matches!(late, Err(AgentError::Timeout)), "{late:?}");
        guest.write_all(b"pong 1\n").unwrap();
        let spent = agent.ask("status", soon()).unwrap_err();
        assert!(spent.to_string().contains("`Agent::synchronize`"), "{spent}");
        let failed = agent.synchronize("echo 1", "1", Instant::now() + Duration::from_millis(1));
        assert!(matches!(failed, Err(AgentError::Timeout)), "{failed:?}");
        assert!(matches!(agent.ask("status", soon()), Err(AgentError::Spent)), "a failed call is no way back");
        guest.write_all(b"1\n2\nfine\n").unwrap();
        agent.synchronize("echo 2", "2", soon()).unwrap();
        assert_eq!(agent.ask("status", soon()).unwrap(), "fine");
        drop(agent);
        let mut asked = String::new();
        guest.read_to_string(&mut asked).unwrap();
        assert_eq!(asked, "ping\necho 1\necho 2\nstatus\n");
    }

    #[test]
    fn the_next_connection_knows() {
        let channel = Channel::default();
        let connect = || {
            let (ours, guest) = UnixStream::pair().unwrap();
            (Agent::on_channel(ours, channel.clone()).unwrap(), guest)
        };
        let (mut agent, mut guest) = connect();
        guest.write_all(b"pong\n").unwrap();
        agent.ask("ping", soon()).unwrap();
        drop(agent);
        let (mut agent, guest) = connect();
        drop(guest);
        let broken = agent.ask("ping", soon());
        assert!(matches!(broken, Err(AgentError::Closed)), "{broken:?}");
        let (mut agent, mut guest) = connect();
        guest.write_all(b"pong\n1\nfine\n").unwrap();
        assert!(matches!(agent.ask("status", soon()), Err(AgentError::Spent)));
        agent.synchronize("echo 1", "1", soon()).unwrap();
        assert_eq!(agent.ask("status", soon()).unwrap(), "fine");
        let (mut agent, mut guest) = connect();
        guest.write_all(b"pong\n").unwrap();
        agent.ask("ping", soon()).unwrap();
    }

    #[test]
    fn a_message_that_is_cut_off_is_not_gone_on_with() {
        let channel = Channel::default();
        let (ours, guest) = UnixStream::pair().unwrap();
        let mut agent = Agent::on_channel(ours, channel.clone()).unwrap();
        let cut = agent.send_frame(&vec![0; 1 << 20], Instant::now() + Duration::from_millis(20));
        assert!(matches!(cut, Err(AgentError::Timeout)), "{cut:?}");
        let mut next = || [agent.tell("rm -r /tmp/x", soon()), agent.synchronize("echo 1", "1", soon())];
        assert!(next().iter().all(|next| matches!(next, Err(AgentError::Torn))));
        assert!(matches!(agent.ask("ping", soon()), Err(AgentError::Spent)));
        drop(guest);
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let mut agent = Agent::on_channel(ours, channel).unwrap();
        assert!(matches!(agent.ask("ping", soon()), Err(AgentError::Spent)));
        guest.write_all(b"error unknown command\n1\npong\n").unwrap();
        agent.synchronize("echo 1", "1", soon()).unwrap();
        assert_eq!(agent.ask("ping", soon()).unwrap(), "pong");
    }

    #[test]
    fn a_question_that_was_not_sent_owes_nothing() {
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let mut agent = Agent::new(ours.try_clone().unwrap()).unwrap();
        // The socket is full.
        let mut filled = 0;
        while let Ok(count) = (&ours).write(&[b'\n'; 4096]) {
            filled += count;
        }
        assert!(matches!(agent.ask("ping", Instant::now()), Err(AgentError::Timeout)));
        guest.read_exact(&mut vec![0; filled]).unwrap();
        guest.write_all(b"pong\n").unwrap();
        assert_eq!(agent.ask("ping", soon()).unwrap(), "pong");
    }

    #[test]
    fn texts() {
        let long = |byte: u8| text([byte].repeat(MAX_LINE / 4));
        assert_eq!(text(b"gr\xfcn \r".to_vec()).unwrap(), "gr\u{fffd}n");
        assert_eq!(long(b'x').unwrap().len(), MAX_LINE / 4);
        assert!(matches!(long(0xff), Err(AgentError::TooLong)));
    }
}
