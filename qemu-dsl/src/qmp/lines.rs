//! Lines and frames over file descriptors, with deadlines that hold and buffers that end, whatever the peer sends.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::deadline::left;

/// How much is read at once, and how much of a buffer is kept for the next line.
const CHUNK: usize = 16 << 10;
/// The length before a frame.
const HEADER: usize = 4;

/// A stream of lines, or of frames, in each direction.
#[derive(Debug)]
pub(crate) struct Lines {
    input: File,
    output: File,
    /// What has been read: no more than a line or frame of the greatest length.
    buffer: Vec<u8>,
    /// Where in the buffer the next line starts: lines are not moved when one before them is taken.
    start: usize,
    /// How far the buffer is known to have no newline.
    scanned: usize,
    max_line: usize,
}

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadLine<T> {
    /// A line, without its newline, or a frame, without its length.
    Line(T),
    /// The deadline passed first.
    Timeout,
    /// The peer closed the stream.
    Closed,
    /// The peer sent more without a newline than is allowed, or a frame that is longer. It stays so: where the next line starts,
    /// nobody knows.
    TooLong,
}

impl<T> ReadLine<T> {
    fn map<U>(self, make: impl FnOnce(T) -> U) -> ReadLine<U> {
        match self {
            Self::Line(line) => ReadLine::Line(make(line)),
            Self::Timeout => ReadLine::Timeout,
            Self::Closed => ReadLine::Closed,
            Self::TooLong => ReadLine::TooLong,
        }
    }
}

/// How writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// With everything.
    All,
    /// The deadline passed before the first byte was taken.
    Nothing,
    /// The deadline passed in the middle: what is written next would be taken for the rest.
    Part,
}

impl Lines {
    pub(crate) fn new(input: OwnedFd, output: OwnedFd, max_line: usize) -> io::Result<Self> {
        for fd in [&input, &output] {
            let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
            fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        Ok(Self { input: input.into(), output: output.into(), buffer: Vec::new(), start: 0, scanned: 0, max_line })
    }

    /// Changes the length of the longest line.
    pub(crate) fn set_max_line(&mut self, max_line: usize) {
        self.max_line = max_line;
    }

    /// The next line. The deadline is looked at after each chunk; where it has passed already, what is there counts: a line that
    /// has been read, or what one more read brings.
    pub(crate) fn read(&mut self, deadline: Instant) -> io::Result<ReadLine<&[u8]>> {
        Ok(self.find(deadline)?.map(|line| &self.buffer[line]))
    }

    /// The same, for keeps. A long line is handed over, not copied.
    pub(crate) fn read_owned(&mut self, deadline: Instant) -> io::Result<ReadLine<Vec<u8>>> {
        Ok(self.find(deadline)?.map(|line| self.take(line)))
    }

    /// Where in the buffer the next line is; the one after it starts behind its newline.
    fn find(&mut self, deadline: Instant) -> io::Result<ReadLine<Range<usize>>> {
        let mut has_read = false;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.scanned..]);
            let end = found.map_or(self.buffer.len(), |found| self.scanned + found);
            if end - self.start > self.max_line {
                return Ok(ReadLine::TooLong);
            }
            if found.is_some() {
                let start = std::mem::replace(&mut self.start, end + 1);
                self.scanned = self.start;
                return Ok(ReadLine::Line(start..end));
            }
            self.scanned = end;
            if has_read && Instant::now() >= deadline {
                return Ok(ReadLine::Timeout);
            }
            if let Some(end) = self.fill(deadline)? {
                return Ok(end);
            }
            has_read = true;
        }
    }

    /// The next frame: a length, four bytes with the highest first, and so many bytes. A long one is handed over, not copied.
    pub(crate) fn read_frame(&mut self, deadline: Instant) -> io::Result<ReadLine<Vec<u8>>> {
        let mut has_read = false;
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(length) = rest.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) {
                if length > self.max_line {
                    return Ok(ReadLine::TooLong);
                }
                if rest.len() >= HEADER + length {
                    let start = self.start + HEADER;
                    self.start = start + length;
                    self.scanned = self.start;
                    return Ok(ReadLine::Line(self.take(start..start + length)));
                }
            }
            if has_read && Instant::now() >= deadline {
                return Ok(ReadLine::Timeout);
            }
            if let Some(end) = self.fill(deadline)? {
                return Ok(end);
            }
            has_read = true;
        }
    }

    /// The bytes of a line or frame that the next one follows.
    fn take(&mut self, range: Range<usize>) -> Vec<u8> {
        if range.len() < CHUNK {
            return self.buffer[range].to_vec();
        }
        let next = self.buffer.split_off(self.start);
        let mut taken = std::mem::replace(&mut self.buffer, next);
        self.scanned -= self.start;
        self.start = 0;
        taken.truncate(range.end);
        taken.drain(..range.start);
        taken.shrink_to_fit();
        taken
    }

    /// Reads once, or waits for something to read until the deadline; what ended the stream or the wait, if something did.
    fn fill<T>(&mut self, deadline: Instant) -> io::Result<Option<ReadLine<T>>> {
        self.make_room();
        let mut chunk = [0; CHUNK];
        // Never more than the longest line or frame: what else was sent waits in the socket.
        let room = (HEADER + self.max_line).saturating_sub(self.buffer.len()).clamp(1, CHUNK);
        loop {
            match self.input.read(&mut chunk[..room]) {
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

    /// Moves what is left of the buffer to its start, and gives it room for a chunk more: twice as much as before, but no more
    /// than the longest line needs. One that has become large does not stay so.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < CHUNK && self.buffer.capacity() > 2 * CHUNK {
            self.buffer.shrink_to(2 * CHUNK);
        }
        let needed = self.buffer.len() + CHUNK;
        if needed > self.buffer.capacity() {
            let all = needed.max(2 * self.buffer.capacity()).min(HEADER + self.max_line);
            self.buffer.reserve_exact(all.saturating_sub(self.buffer.len()));
        }
    }

    /// Writes both parts, one after the other.
    pub(crate) fn write(&mut self, parts: [&[u8]; 2], deadline: Instant) -> io::Result<Written> {
        let mut parts = parts.map(IoSlice::new);
        let mut parts = &mut parts[..];
        IoSlice::advance_slices(&mut parts, 0);
        let mut left_off = Written::Nothing;
        while !parts.is_empty() {
            match self.output.write_vectored(parts) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    IoSlice::advance_slices(&mut parts, count);
                    left_off = Written::Part;
                    // A peer that takes a byte at a time has no more time than others.
                    if !parts.is_empty() && Instant::now() >= deadline {
                        return Ok(left_off);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !wait(self.output.as_fd(), PollFlags::POLLOUT, deadline)? {
                        return Ok(left_off);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Written::All)
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
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::Line(&b"a"[..]));
        assert_eq!(lines.read(Instant::now()).unwrap(), ReadLine::Timeout);
        theirs.write_all(b"d\n\n").unwrap();
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::Line(&b"bcd"[..]));
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::Line(&b""[..]));
        theirs.write_all(b"123456789").unwrap();
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::TooLong);
        theirs.write_all(b"\na\n").unwrap();
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::TooLong, "nothing of it is taken for a line");
        drop(theirs);
    }

    /// Sizes around those of a chunk and of the longest line, in one stream.
    #[test]
    fn long_lines_and_frames_are_whole_and_the_buffer_has_an_end() {
        const MAX: usize = 5 * CHUNK;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(ours.try_clone().unwrap().into(), ours.into(), MAX).unwrap();
        let sizes = [0, 1, CHUNK - 5, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, MAX - 1, MAX];
        let content = |size: usize| (0x10..0xff_u8).cycle().take(size).collect::<Vec<u8>>();
        let writer = std::thread::spawn(move || {
            for size in sizes {
                theirs.write_all(&[content(size), b"\n".to_vec()].concat()).unwrap();
                theirs.write_all(&[&u32::try_from(size).unwrap().to_be_bytes()[..], &content(size)].concat()).unwrap();
            }
            theirs
        });
        let soon = Instant::now() + Duration::from_secs(10);
        for size in sizes {
            if size % 2 == 0 {
                assert!(lines.read(soon).unwrap() == ReadLine::Line(&content(size)), "a line of {size}");
            } else {
                assert!(lines.read_owned(soon).unwrap() == ReadLine::Line(content(size)), "a line of {size}");
            }
            assert!(lines.read_frame(soon).unwrap() == ReadLine::Line(content(size)), "a frame of {size}");
            assert!(lines.buffer.capacity() <= MAX + HEADER, "{}", lines.buffer.capacity());
        }
        writer.join().unwrap();
        assert_eq!(lines.read(soon).unwrap(), ReadLine::Closed);
        assert!(lines.buffer.capacity() <= 2 * CHUNK, "{}", lines.buffer.capacity());
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
        assert_eq!(lines.read(soon()).unwrap(), ReadLine::Line(&b"line"[..]), "frames and lines can take turns");
        theirs.write_all(b"\xff\xff\xff\xff").unwrap();
        assert_eq!(lines.read_frame(soon()).unwrap(), ReadLine::TooLong);
        drop(theirs);
    }

    #[test]
    fn a_deadline_that_has_passed_is_one_read() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(ours.try_clone().unwrap().into(), ours.into(), 1 << 20).unwrap();
        theirs.write_all(&[b'x'; CHUNK]).unwrap();
        theirs.write_all(&[b'\0'; CHUNK]).unwrap();
        assert_eq!(lines.read(Instant::now()).unwrap(), ReadLine::Timeout);
        assert_eq!(lines.buffer.len(), CHUNK);
        lines.buffer.clear();
        lines.scanned = 0;
        lines.buffer.extend(b"\0\x0f\0\0");
        assert_eq!(lines.read_frame(Instant::now()).unwrap(), ReadLine::Timeout);
        assert_eq!(lines.buffer.len(), HEADER + CHUNK);
    }

    #[test]
    fn a_peer_that_does_not_read_is_a_timeout() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(ours.try_clone().unwrap().into(), ours.into(), 8).unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(lines.write([b"head", &vec![0; 16 << 20]], deadline).unwrap(), Written::Part);
        assert_eq!(lines.write([b"more", b""], deadline).unwrap(), Written::Nothing);
    }
}
