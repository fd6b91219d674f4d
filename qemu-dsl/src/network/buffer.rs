//! Frames on their way in one direction, in one piece of memory.

use std::io::{self, ErrorKind, Read, Write};

use super::frame::Dropped;

/// How much memory there is for a direction. Two frames of the largest size fit, so that one is always complete.
pub(super) const CAPACITY: usize = 256 * 1024;
/// How long a frame is at most: an IP packet and its Ethernet header.
pub(super) const MAX_FRAME: usize = 65_550;
/// Each frame's length goes before it, the highest byte first. (QEMU, `net/stream.c`)
const LENGTH: usize = 4;
/// Memory is cleared up when that gains so much, or costs next to nothing.
const WORTHWHILE: usize = MAX_FRAME + LENGTH;

/// What was read and not written yet: frames that passed, from `start` to `passed`; and what was read and not judged yet, from
/// `unjudged` to `end`. Where frames were dropped there is a gap between the two.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    passed: usize,
    unjudged: usize,
    end: usize,
}

/// What a read or a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// As much as was there or fitted.
    Some,
    /// The other side has closed, or the connection is broken.
    Closed,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; CAPACITY].into(), start: 0, passed: 0, unjudged: 0, end: 0 }
    }

    /// Whether something waits to be written.
    pub(super) fn has_output(&self) -> bool {
        self.start < self.passed
    }

    /// Whether there is room to read into.
    pub(super) fn has_room(&self) -> bool {
        self.end < self.bytes.len()
    }

    /// Reads once, as much as there is room for.
    pub(super) fn read(&mut self, mut source: impl Read) -> Moved {
        match source.read(&mut self.bytes[self.end..]) {
            Ok(0) if self.has_room() => Moved::Closed,
            Ok(count) => {
                self.end += count;
                Moved::Some
            }
            Err(error) if is_temporary(&error) => Moved::Some,
            Err(_) => Moved::Closed,
        }
    }

    /// Judges all frames that are complete, and keeps those that pass.
    ///
    /// # Errors
    ///
    /// A length that no frame has: where the next one begins is unknown.
    pub(super) fn judge(&mut self, mut passes: impl FnMut(&[u8]) -> Result<(), Dropped>) -> Result<(), Dropped> {
        loop {
            let rest = &self.bytes[self.unjudged..self.end];
            let Some((length, rest)) = rest.split_first_chunk::<LENGTH>() else { break };
            let length = u32::from_be_bytes(*length) as usize;
            if length > MAX_FRAME {
                return Err(Dropped::Oversize);
            }
            let Some(frame) = rest.get(..length) else { break };
            let whole = LENGTH + length;
            if passes(frame).is_ok() {
                if self.passed != self.unjudged {
                    self.bytes.copy_within(self.unjudged..self.unjudged + whole, self.passed);
                }
                self.passed += whole;
            }
            self.unjudged += whole;
            if !self.has_output() {
                // Nothing waits: the gap costs nothing.
                self.start = self.unjudged;
                self.passed = self.unjudged;
            }
        }
        self.clear_up();
        Ok(())
    }

    /// Writes once, as much as the other side takes.
    pub(super) fn write(&mut self, mut sink: impl Write) -> Moved {
        match sink.write(&self.bytes[self.start..self.passed]) {
            Ok(count) => {
                self.start += count;
                if !self.has_output() {
                    self.start = self.unjudged;
                    self.passed = self.unjudged;
                }
                self.clear_up();
                Moved::Some
            }
            Err(error) if is_temporary(&error) => Moved::Some,
            Err(_) => Moved::Closed,
        }
    }

    /// Makes room at the end.
    fn clear_up(&mut self) {
        if self.start == self.end {
            (self.start, self.passed, self.unjudged, self.end) = (0, 0, 0, 0);
            return;
        }
        let gained = self.start + (self.unjudged - self.passed);
        let full = self.bytes.len() - self.end < WORTHWHILE;
        // Without output there is less than a frame to move.
        if full && (gained >= WORTHWHILE || (!self.has_output() && gained > 0)) {
            let (output, input) = (self.passed - self.start, self.end - self.unjudged);
            self.bytes.copy_within(self.start..self.passed, 0);
            self.bytes.copy_within(self.unjudged..self.end, output);
            (self.start, self.passed, self.unjudged, self.end) = (0, output, output, output + input);
        }
    }

    /// Forgets what waits to be written: who was to have it is gone, perhaps in the middle of a frame.
    pub(super) fn forget_output(&mut self) {
        self.start = self.unjudged;
        self.passed = self.unjudged;
        self.clear_up();
    }

    /// Forgets what was not judged: who sent it is gone, and will not send the rest of a frame.
    pub(super) fn forget_input(&mut self) {
        self.end = self.unjudged;
        if !self.has_output() {
            self.start = self.end;
            self.passed = self.end;
        }
        self.clear_up();
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
        frames
            .iter()
            .flat_map(|frame| [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat())
            .collect()
    }

    /// Takes a few bytes at a time.
    struct Slowly<'a>(&'a mut Vec<u8>, usize);

    impl Write for Slowly<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.1);
            if count == 0 && !bytes.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.0.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let size = prop_oneof![8 => 0..100_usize, 4 => 1000..1600_usize, 1 => 60_000..=MAX_FRAME];
        (any::<u8>(), size).prop_map(|(byte, size)| vec![byte; size])
    }

    proptest! {
        /// However input and output are cut into pieces: what passes comes out, whole, in order, and nothing else does.
        #[test]
        fn frames_that_pass_come_out_as_they_were(
            frames in prop::collection::vec(any_frame(), 0..60),
            pieces in prop::collection::vec((1..90_000_usize, 0..120_000_usize), 1..20),
        ) {
            let passes = |frame: &[u8]| {
                if frame.first().is_none_or(|byte| byte % 3 == 0) { Ok(()) } else { Err(Dropped::Policy) }
            };
            let input = stream(&frames);
            let kept: Vec<_> = frames.iter().filter(|frame| passes(frame).is_ok()).cloned().collect();
            let (mut buffer, mut output, mut rest) = (Buffer::new(), Vec::new(), &input[..]);
            for (read, write) in pieces.into_iter().cycle() {
                if rest.is_empty() && !buffer.has_output() {
                    break;
                }
                if buffer.has_room() && !rest.is_empty() {
                    let mut piece = &rest[..read.min(rest.len())];
                    let before = piece.len();
                    prop_assert_eq!(buffer.read(&mut piece), Moved::Some);
                    rest = &rest[before - piece.len()..];
                }
                buffer.judge(passes).unwrap();
                // Without room there must be output, or nothing would ever move.
                prop_assert!(buffer.has_room() || buffer.has_output());
                if buffer.has_output() {
                    // At the least one byte, so that this ends.
                    buffer.write(Slowly(&mut output, write.max(1)));
                }
            }
            prop_assert_eq!(output, stream(&kept));
        }
    }

    #[test]
    fn a_length_that_no_frame_has_is_an_error_at_once() {
        let mut buffer = Buffer::new();
        buffer.read(&[0, 1, 0, 15][..]);
        assert_eq!(buffer.judge(|_| panic!("there is no frame")), Err(Dropped::Oversize));
        let mut buffer = Buffer::new();
        buffer.read(&[0, 1, 0, 14][..]);
        assert_eq!(buffer.judge(|_| panic!("it is not complete")), Ok(()), "65,550 is possible");
    }

    #[test]
    fn what_nobody_will_complete_or_take_is_forgotten() {
        let mut buffer = Buffer::new();
        buffer.read(&[&stream(&[vec![1; 10]])[..], &[0, 0, 0, 9, 7]].concat()[..]);
        buffer.judge(|_| Ok(())).unwrap();
        let mut output = Vec::new();
        buffer.write(Slowly(&mut output, 3));
        buffer.forget_input();
        buffer.read(&stream(&[vec![2; 5]])[..]);
        buffer.judge(|_| Ok(())).unwrap();
        buffer.write(&mut output);
        assert_eq!(output, stream(&[vec![1; 10], vec![2; 5]]), "the frame that was begun is completed");

        buffer.read(&[&stream(&[vec![3; 10]])[..], &[0, 0, 0, 2, 7]].concat()[..]);
        buffer.judge(|_| Ok(())).unwrap();
        buffer.write(Slowly(&mut output, 3));
        buffer.forget_output();
        buffer.read(&[8][..]);
        buffer.judge(|_| Ok(())).unwrap();
        let mut output = Vec::new();
        buffer.write(&mut output);
        assert_eq!(output, stream(&[vec![7, 8]]), "the next one gets whole frames");
    }
}
