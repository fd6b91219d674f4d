//! Lines over file descriptors, with deadlines.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::deadline::left;

/// A stream of lines in each direction.
#[derive(Debug)]
pub(crate) struct Lines {
    input: File,
    output: File,
    buffer: Vec<u8>,
    /// How much of the buffer is known to have no newline.
    scanned: usize,
    max_line: usize,
}

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadLine {
    /// A line, without its newline.
    Line(Vec<u8>),
    /// The deadline passed first.
    Timeout,
    /// The peer closed the stream.
    Closed,
    /// The peer sent more without a newline than is allowed.
    TooLong,
}

impl Lines {
    pub(crate) fn new(input: OwnedFd, output: OwnedFd, max_line: usize) -> io::Result<Self> {
        for fd in [&input, &output] {
            let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
            fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        Ok(Self { input: input.into(), output: output.into(), buffer: Vec::new(), scanned: 0, max_line })
    }

    /// The next line.
    pub(crate) fn read(&mut self, deadline: Instant) -> io::Result<ReadLine> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(ReadLine::Line(line));
            }
            if self.buffer.len() > self.max_line {
                return Ok(ReadLine::TooLong);
            }
            if let Some(end) = self.fill(deadline)? {
                return Ok(end);
            }
        }
    }

    /// The next frame: a length, four bytes with the highest first, and so many bytes.
    pub(crate) fn read_frame(&mut self, deadline: Instant) -> io::Result<ReadLine> {
        loop {
            if let Some(length) = self.buffer.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) {
                if length > self.max_line {
                    return Ok(ReadLine::TooLong);
                }
                if self.buffer.len() >= 4 + length {
                    let frame = self.buffer[4..4 + length].to_vec();
                    self.buffer.drain(..4 + length);
                    self.scanned = 0;
                    return Ok(ReadLine::Line(frame));
                }
            }
            if let Some(end) = self.fill(deadline)? {
                return Ok(end);
            }
        }
    }

    /// Reads what there is, or waits for it; what ended the stream or the wait, if something did.
    fn fill(&mut self, deadline: Instant) -> io::Result<Option<ReadLine>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.input.read(&mut chunk) {
                Ok(0) => return Ok(Some(ReadLine::Closed)),
                Ok(count) => {
                    self.buffer.extend_from_slice(&chunk[..count]);
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Some(ReadLine::Closed)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !wait(self.input.as_fd(), PollFlags::POLLIN, deadline)? {
                        return Ok(Some(ReadLine::Timeout));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let Some(end) = self.buffer[self.scanned..].iter().position(|&byte| byte == b'\n') else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned + end;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        self.scanned = 0;
        Some(line)
    }

    /// Writes all of `text`; `false` when the deadline passed first.
    pub(crate) fn write(&mut self, mut text: &[u8], deadline: Instant) -> io::Result<bool> {
        while !text.is_empty() {
            match self.output.write(text) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => text = &text[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !wait(self.output.as_fd(), PollFlags::POLLOUT, deadline)? {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Waits until `fd` is ready; `false` when the deadline passed first.
fn wait(fd: BorrowedFd<'_>, flags: PollFlags, deadline: Instant) -> io::Result<bool> {
    loop {
        // Rounded up, so that the last millisecond is not spent spinning.
        let timeout = PollTimeout::try_from(left(deadline).as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, flags)], timeout) {
            Ok(0) if Instant::now() >= deadline => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_in_pieces() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(ours.try_clone().unwrap().into(), ours.into(), 8).unwrap();
        let soon = || Instant::now() + Duration::from_secs(5);
        theirs.write_all(b"a\nbc").unwrap();
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::Line(b"a".to_vec()));
        assert_eq!(lines.read(Instant::now()).unwrap(), ReadLine::Timeout);
        theirs.write_all(b"d\n\n").unwrap();
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::Line(b"bcd".to_vec()));
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::Line(b"".to_vec()));
        theirs.write_all(b"123456789").unwrap();
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::TooLong);
        drop(theirs);
    }

    #[test]
    fn frames_in_pieces() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(ours.try_clone().unwrap().into(), ours.into(), 8).unwrap();
        let soon = || Instant::now() + Duration::from_secs(5);
        theirs.write_all(b"\0\0\0\x03a\nb\0\0").unwrap();
        assert_eq!(lines.read_frame(soon()).unwrap(), ReadLine::Line(b"a\nb".to_vec()));
        assert_eq!(lines.read_frame(Instant::now()).unwrap(), ReadLine::Timeout);
        theirs.write_all(b"\0\0line\n").unwrap();
        assert_eq!(lines.read_frame(soon()).unwrap(), ReadLine::Line(Vec::new()));
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::Line(b"line".to_vec()), "frames and lines can take turns");
        theirs.write_all(b"\xff\xff\xff\xff").unwrap();
        assert_eq!(lines.read_frame(soon()).unwrap(), ReadLine::TooLong);
        drop(theirs);
    }

    #[test]
    fn a_peer_that_does_not_read_is_a_timeout() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(ours.try_clone().unwrap().into(), ours.into(), 8).unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        assert!(!lines.write(&vec![0; 16 << 20], deadline).unwrap());
    }
}
