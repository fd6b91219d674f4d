//! JSON arguments, read as a list of scalars: no tree, so that a megabyte costs no more than its longest path.

use std::borrow::Cow;
use std::ops::Range;

/// How deep it may go. (`MAX_NESTING`, qobject/json-streamer.c)
const MAX_DEPTH: usize = 1024;
/// How long a path may be, so that no text makes of each of its bytes a copy of another.
const MAX_PATH: usize = 4096;

/// A scalar.
#[derive(Debug)]
pub(super) struct Scalar<'a> {
    /// The names that lead to it, with dots between them.
    pub(super) path: Vec<u8>,
    /// Its text, without quotes.
    pub(super) text: Cow<'a, [u8]>,
    /// Where its key starts, or itself in a list.
    pub(super) start: usize,
    /// Where it stands, without quotes.
    pub(super) value: Range<usize>,
}

enum Found<'a> {
    Scalar(Scalar<'a>),
    End,
}

#[derive(Debug, Clone)]
enum Level {
    /// An object, and how long the path was before it.
    Object(usize),
    /// A list, the same, and how many elements there were.
    List(usize, usize),
}

impl Level {
    fn close(&self) -> u8 {
        match self {
            Self::Object(_) => b'}',
            Self::List(..) => b']',
        }
    }
}

/// A reader of one JSON text.
#[derive(Debug, Clone)]
pub(super) struct Json<'a> {
    text: &'a [u8],
    at: usize,
    path: Vec<u8>,
    levels: Vec<Level>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value comes.
    Value,
    /// The first key or the end of an object, the first element or the end of a list.
    First,
    /// A comma or the end.
    Next,
    Done,
}

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, path: Vec::new(), levels: Vec::new(), state: State::Value }
    }

    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// A string in double or, as QEMU takes it too, in single quotes.
    fn string(&mut self) -> Option<(Cow<'a, [u8]>, Range<usize>)> {
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''))?;
        let start = self.at + 1;
        let (mut text, mut from, mut at) = (Cow::Borrowed(&self.text[start..start]), start, start);
        loop {
            match *self.text.get(at)? {
                byte if byte == quote => break,
                b'\\' => {
                    text.to_mut().extend_from_slice(&self.text[from..at]);
                    at = self.escape(at + 1, text.to_mut())?;
                    from = at;
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        let text = match text {
            Cow::Borrowed(_) => Cow::Borrowed(&self.text[start..at]),
            Cow::Owned(mut text) => {
                text.extend_from_slice(&self.text[from..at]);
                Cow::Owned(text)
            }
        };
        Some((text, start..at))
    }

    /// Adds what an escape stands for; returns where the text goes on.
    fn escape(&self, at: usize, out: &mut Vec<u8>) -> Option<usize> {
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 4)?;
            u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        out.push(match *self.text.get(at)? {
            byte @ (b'"' | b'\'' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let first = unit(at + 1)?;
                let second = (self.text.get(at + 5..at + 7) == Some(b"\\u")).then(|| unit(at + 7)).flatten();
                let is_pair = (0xd800..0xdc00).contains(&first);
                let units = [first, second.unwrap_or_default()];
                let units = if is_pair { &units[..] } else { &units[..1] };
                for char in char::decode_utf16(units.iter().copied()) {
                    out.extend_from_slice(char.ok()?.encode_utf8(&mut [0; 4]).as_bytes());
                }
                return Some(at + if is_pair { 11 } else { 5 });
            }
            _ => return None,
        });
        Some(at + 1)
    }

    /// Adds a name to the path; what stood there before has this length.
    fn enter(&mut self, base: usize, name: &[u8]) -> Option<()> {
        self.path.truncate(base);
        if !self.path.is_empty() {
            self.path.push(b'.');
        }
        self.path.extend_from_slice(name);
        (self.path.len() <= MAX_PATH).then_some(())
    }

    /// Reads up to the next scalar: [`Found::End`] behind the last one, and None where the text is no JSON.
    fn scalar(&mut self) -> Option<Found<'a>> {
        loop {
            let mut start = None;
            let level = self.levels.last().cloned();
            match (self.state, &level) {
                (State::Done, _) => return Some(Found::End),
                (State::Next, None) => {
                    self.state = State::Done;
                    return self.peek().is_none().then_some(Found::End);
                }
                (State::First, None) => return None,
                (State::Value, None) => {}
                (state, Some(level)) => match self.peek()? {
                    byte if byte == level.close() => {
                        (self.at, self.state) = (self.at + 1, State::Next);
                        self.levels.pop();
                        continue;
                    }
                    b',' if state == State::Next => self.at += 1,
                    _ if state == State::Next => return None,
                    _ => {}
                },
            }
            match level {
                None => {}
                Some(Level::Object(base)) => {
                    self.peek()?;
                    start = Some(self.at);
                    let (name, _) = self.string()?;
                    self.enter(base, &name)?;
                    self.expect(b':')?;
                }
                Some(Level::List(base, count)) => {
                    self.enter(base, count.to_string().as_bytes())?;
                    if let Some(Level::List(_, count)) = self.levels.last_mut() {
                        *count += 1;
                    }
                }
            }
            let open = match self.peek()? {
                b'{' => Level::Object(self.path.len()),
                b'[' => Level::List(self.path.len(), 0),
                _ => {
                    self.state = State::Next;
                    let at = self.at;
                    let (text, value) = self.plain()?;
                    let start = start.unwrap_or(at);
                    return Some(Found::Scalar(Scalar { path: self.path.clone(), text, start, value }));
                }
            };
            if self.levels.len() == MAX_DEPTH {
                return None;
            }
            self.levels.push(open);
            (self.at, self.state) = (self.at + 1, State::First);
        }
    }

    fn plain(&mut self) -> Option<(Cow<'a, [u8]>, Range<usize>)> {
        if matches!(self.peek()?, b'"' | b'\'') {
            return self.string();
        }
        let start = self.at;
        let in_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        self.at += self.text[start..].iter().take_while(in_word).count();
        let word = &self.text[start..self.at];
        let is_number = std::str::from_utf8(word).is_ok_and(|word| word.parse::<f64>().is_ok_and(f64::is_finite));
        (is_number || matches!(word, b"true" | b"false" | b"null")).then_some((Cow::Borrowed(word), start..self.at))
    }
}

impl<'a> Iterator for Json<'a> {
    type Item = Result<Scalar<'a>, usize>;

    /// The next scalar, or where the text stops being JSON; nothing comes behind that.
    fn next(&mut self) -> Option<Self::Item> {
        match self.scalar() {
            Some(Found::Scalar(scalar)) => Some(Ok(scalar)),
            Some(Found::End) => None,
            None => {
                self.state = State::Done;
                self.levels.clear();
                Some(Err(self.at.min(self.text.len())))
            }
        }
    }
}
