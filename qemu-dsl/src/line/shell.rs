//! POSIX shell text: words and what they stand for. (POSIX, Shell Command Language, 2.2 Quoting and 2.3 Token Recognition)

use std::ops::Range;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// These bytes of the source, as they are.
    Plain(Range<usize>),
    /// What an escape of `$'...'` stands for, and where it is.
    Decoded([u8; 4], u8, Range<usize>),
    /// A variable or a substitution; it stays in the word as it is written.
    Expansion(Range<usize>),
    /// A byte that makes a file name pattern of the word; it stays too.
    Pattern(usize),
    /// A quote or a substitution that starts here and has no end.
    Open(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Bare,
    Single,
    Double,
    /// `$'...'`
    Escapes,
}

/// The parts of one word.
#[derive(Debug, Clone)]
pub(super) struct Pieces<'a> {
    text: &'a [u8],
    at: usize,
    mode: Mode,
    /// Where the quote starts that is open.
    quote: usize,
}

/// What ends a word, or starts none.
pub(super) fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')')
}

impl<'a> Pieces<'a> {
    /// The word that starts at `at`.
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at, mode: Mode::Bare, quote: at }
    }

    /// Where it has come to; at its end, the end of the word.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn byte(&self, offset: usize) -> Option<u8> {
        self.text.get(self.at + offset).copied()
    }

    fn take(&mut self, len: usize) -> Range<usize> {
        let start = self.at;
        self.at = (start + len).min(self.text.len());
        start..self.at
    }

    fn open(&mut self, mode: Mode, len: usize) {
        self.quote = self.at;
        self.at += len;
        self.mode = mode;
    }

    fn close(&mut self) {
        self.at += 1;
        self.mode = Mode::Bare;
    }

    /// Plain bytes up to the next one that `stops`; at least one.
    fn run(&mut self, stops: impl Fn(u8) -> bool) -> Piece {
        let rest = &self.text[self.at + 1..];
        let len = rest.iter().position(|&byte| stops(byte)).unwrap_or(rest.len());
        Piece::Plain(self.take(len + 1))
    }

    /// `$` or a backquote that is not quoted, or in double quotes.
    fn dollar(&mut self) -> Piece {
        let start = self.at;
        let len = match (self.byte(0), self.byte(1)) {
            (Some(b'`'), _) => closed(self.text, start + 1, b'`'),
            (_, Some(b'(')) => nested(self.text, start + 2, b'(', b')'),
            (_, Some(b'{')) => nested(self.text, start + 2, b'{', b'}'),
            (_, Some(byte)) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                Some(start + 1 + self.text[start + 1..].iter().take_while(|byte| name(byte)).count())
            }
            (_, Some(byte)) if byte.is_ascii_digit() || b"@*#?$!-".contains(&byte) => Some(start + 2),
            // `$"` is a translated text in some shells; elsewhere a dollar is one.
            (_, Some(b'"')) if self.mode == Mode::Bare => Some(start + 1),
            // A line's end that does not count: what the dollar belongs to stands on the next one.
            (_, Some(b'\\')) if self.byte(2) == Some(b'\n') => Some(start + 1),
            _ => return Piece::Plain(self.take(1)),
        };
        let Some(end) = len else {
            self.at = self.text.len();
            self.mode = Mode::Bare;
            return Piece::Open(start);
        };
        Piece::Expansion(self.take(end - start))
    }

    fn bare(&mut self) -> Option<Piece> {
        match self.byte(0)? {
            byte if ends_word(byte) => None,
            b'\\' if self.byte(1).is_some() => {
                self.at += 1;
                Some(Piece::Plain(self.take(1)))
            }
            b'\\' => Some(Piece::Plain(self.take(1))),
            b'$' | b'`' => Some(self.dollar()),
            b'*' | b'?' | b'[' => Some(Piece::Pattern(self.take(1).start)),
            _ => {
                let special = |byte| matches!(byte, b'\\' | b'\'' | b'"' | b'$' | b'`' | b'*' | b'?' | b'[');
                Some(self.run(|byte| ends_word(byte) || special(byte)))
            }
        }
    }

    fn double(&mut self) -> Piece {
        match (self.byte(0), self.byte(1)) {
            (Some(b'\\'), Some(b'$' | b'`' | b'"' | b'\\')) => {
                self.at += 1;
                Piece::Plain(self.take(1))
            }
            (Some(b'\\'), _) => Piece::Plain(self.take(1)),
            (Some(b'$' | b'`'), _) => self.dollar(),
            _ => self.run(|byte| matches!(byte, b'"' | b'\\' | b'$' | b'`')),
        }
    }

    fn escapes(&mut self) -> Piece {
        if self.byte(0) == Some(b'\\') { self.escape() } else { self.run(|byte| matches!(byte, b'\'' | b'\\')) }
    }

    /// An escape of `$'...'`; one that there is not stands for itself.
    fn escape(&mut self) -> Piece {
        let digits = |from: usize, max: usize, radix: u32| {
            let rest = self.text.get(self.at + from..).unwrap_or_default();
            let digits = rest.iter().take(max).map_while(|&byte| char::from(byte).to_digit(radix));
            digits.fold((0_u32, 0), |(value, count), digit| (value.wrapping_mul(radix) + digit, count + 1))
        };
        #[allow(clippy::cast_possible_truncation)] // a byte is what is left of three octal digits
        let one = |value: u32, len| (char::from(value as u8), false, len);
        let (value, is_char, len) = match self.byte(1) {
            Some(b'a') => one(7, 2),
            Some(b'b') => one(8, 2),
            Some(b'e' | b'E') => one(27, 2),
            Some(b'f') => one(12, 2),
            Some(b'n') => one(10, 2),
            Some(b'r') => one(13, 2),
            Some(b't') => one(9, 2),
            Some(b'v') => one(11, 2),
            Some(byte @ (b'\\' | b'\'' | b'"' | b'?')) => one(byte.into(), 2),
            Some(b'0'..=b'7') => {
                let (value, count) = digits(1, 3, 8);
                one(value & 0xff, 1 + count)
            }
            Some(kind @ (b'x' | b'u' | b'U')) => {
                let max = match kind {
                    b'x' => 2,
                    b'u' => 4,
                    _ => 8,
                };
                match digits(2, max, 16) {
                    (_, 0) => return Piece::Plain(self.take(1)),
                    (value, count) if kind == b'x' => one(value, 2 + count),
                    (value, count) => (char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER), true, 2 + count),
                }
            }
            Some(b'c') if self.byte(2).is_some() => one((self.byte(2).unwrap_or_default() & 0x1f).into(), 3),
            _ => return Piece::Plain(self.take(1)),
        };
        let mut bytes = [0; 4];
        let count = if is_char {
            value.encode_utf8(&mut bytes).len()
        } else {
            bytes[0] = u8::try_from(u32::from(value)).unwrap_or_default();
            1
        };
        Piece::Decoded(bytes, u8::try_from(count).unwrap_or_default(), self.take(len))
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            // Quotes and continuations are no pieces.
            match (self.mode, self.byte(0), self.byte(1)) {
                (Mode::Bare | Mode::Double, Some(b'\\'), Some(b'\n')) => self.at += 2,
                (Mode::Bare, Some(b'\''), _) => self.open(Mode::Single, 1),
                (Mode::Bare, Some(b'"'), _) => self.open(Mode::Double, 1),
                (Mode::Bare, Some(b'$'), Some(b'\'')) => self.open(Mode::Escapes, 2),
                (Mode::Single | Mode::Escapes, Some(b'\''), _) | (Mode::Double, Some(b'"'), _) => self.close(),
                _ => break,
            }
        }
        if self.at >= self.text.len() && self.mode != Mode::Bare {
            self.mode = Mode::Bare;
            return Some(Piece::Open(self.quote));
        }
        match self.mode {
            Mode::Bare => self.bare(),
            Mode::Single => Some(self.run(|byte| byte == b'\'')),
            Mode::Double => Some(self.double()),
            Mode::Escapes => Some(self.escapes()),
        }
    }
}

/// Where the text goes on behind `close`; a backslash takes the next byte's meaning.
fn closed(text: &[u8], from: usize, close: u8) -> Option<usize> {
    let mut at = from;
    loop {
        match *text.get(at)? {
            b'\\' => at += 2,
            byte if byte == close => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Where the text goes on behind the `close` that belongs to an `open` before `from`.
fn nested(text: &[u8], from: usize, open: u8, close: u8) -> Option<usize> {
    let (mut at, mut depth) = (from, 1_usize);
    loop {
        match *text.get(at)? {
            b'\\' => at += 2,
            b'\'' => at = 1 + at + 1 + text.get(at + 1..)?.iter().position(|&byte| byte == b'\'')?,
            b'"' => at = closed(text, at + 1, b'"')?,
            byte if byte == close => {
                (at, depth) = (at + 1, depth - 1);
                if depth == 0 {
                    return Some(at);
                }
            }
            byte => (at, depth) = (at + 1, depth + usize::from(byte == open)),
        }
    }
}

/// A token of shell text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word.
    Word(Range<usize>),
    /// A redirection, its target included.
    Redirection(Range<usize>),
    /// What ends a command: an operator, or the end of its line.
    End(Range<usize>),
}

/// The tokens of a text.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    fn skip_blanks(&mut self) {
        loop {
            match (self.text.get(self.at), self.text.get(self.at + 1)) {
                (Some(b' ' | b'\t'), _) => self.at += 1,
                (Some(b'\\'), Some(b'\n')) => self.at += 2,
                _ => return,
            }
        }
    }

    /// The end of the word that starts here.
    fn word(&mut self) {
        let mut pieces = Pieces::new(self.text, self.at);
        pieces.by_ref().for_each(drop);
        self.at = pieces.at();
    }

    fn redirection(&mut self, start: usize) -> Token {
        let operator = |byte: &&u8| matches!(byte, b'<' | b'>' | b'&' | b'|');
        self.at += self.text[self.at..].iter().take_while(operator).count();
        self.skip_blanks();
        self.word();
        Token::Redirection(start..self.at)
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks();
        let start = self.at;
        match *self.text.get(start)? {
            b'#' => {
                let rest = &self.text[start..];
                self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                self.next_after_comment()
            }
            b'<' | b'>' => Some(self.redirection(start)),
            b'&' if self.text.get(start + 1) == Some(&b'>') => Some(self.redirection(start)),
            byte if ends_word(byte) => {
                let ends = |byte: &&u8| matches!(byte, b'\n' | b'|' | b'&' | b';' | b'(' | b')');
                self.at += self.text[start..].iter().take_while(ends).count();
                Some(Token::End(start..self.at))
            }
            _ => {
                self.word();
                let is_number = self.text[start..self.at].iter().all(u8::is_ascii_digit);
                match self.text.get(self.at) {
                    Some(b'<' | b'>') if is_number => Some(self.redirection(start)),
                    _ => Some(Token::Word(start..self.at)),
                }
            }
        }
    }
}

impl Tokens<'_> {
    /// A comment ends with its line, and so does the command.
    fn next_after_comment(&mut self) -> Option<Token> {
        let start = self.at;
        self.text.get(start)?;
        self.at += 1;
        Some(Token::End(start..self.at))
    }
}
