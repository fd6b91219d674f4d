//! One word of a line.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;

use super::shell::{Piece, Pieces};

/// A word: where it stands, and what it is without its quotes.
///
/// ```
/// use qemu_dsl::line::{Item, Line};
/// let line = Line::shell("qemu-system-x86_64 -append 'a b'");
/// let Some(Item::Option(append)) = line.items().nth(1) else { panic!("an option") };
/// let value = append.value.unwrap();
/// assert_eq!((value.text(), value.raw()), (&b"a b"[..], &b"'a b'"[..]));
/// assert_eq!(&line.source()[value.span()], b"'a b'");
/// ```
#[derive(Debug, Clone)]
pub struct Word<'a> {
    source: &'a [u8],
    start: usize,
    end: usize,
    text: Cow<'a, [u8]>,
    is_shell: bool,
}

impl<'a> Word<'a> {
    /// A word that stands for itself.
    pub(super) fn plain(source: &'a [u8], span: Range<usize>) -> Self {
        let text = Cow::Borrowed(&source[span.clone()]);
        Self { source, start: span.start, end: span.end, text, is_shell: false }
    }

    /// A word of shell text.
    pub(super) fn shell(source: &'a [u8], span: Range<usize>) -> Self {
        let mut word = Self { is_shell: true, ..Self::plain(source, span.clone()) };
        let mut at = span.start;
        for piece in word.pieces() {
            let (bytes, range) = match &piece {
                Piece::Plain(range) | Piece::Expansion(range) => (&source[range.clone()], range.clone()),
                Piece::Pattern(at) => (&source[*at..=*at], *at..at + 1),
                Piece::Decoded(bytes, len, range) => (&bytes[..usize::from(*len)], range.clone()),
                Piece::Open(_) => continue,
            };
            let is_same = range.start == at && !matches!(piece, Piece::Decoded(..));
            match &mut word.text {
                Cow::Borrowed(_) if is_same => at = range.end,
                Cow::Borrowed(_) => {
                    let mut owned = Vec::with_capacity(span.len());
                    owned.extend_from_slice(&source[span.start..at]);
                    owned.extend_from_slice(bytes);
                    word.text = Cow::Owned(owned);
                }
                Cow::Owned(text) => text.extend_from_slice(bytes),
            }
        }
        if at != span.end && matches!(word.text, Cow::Borrowed(_)) {
            word.text = Cow::Borrowed(&source[span.start..at]);
        }
        word
    }

    /// The bytes that QEMU gets.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The same, as an operating system string.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.text)
    }

    /// The bytes that stand in the source, quotes included.
    pub fn raw(&self) -> &'a [u8] {
        &self.source[self.start..self.end]
    }

    /// Where it stands in the source.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The parts of a shell word; a word of another form has none.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> + use<'a> {
        let pieces = self.is_shell.then(|| Pieces::new(&self.source[..self.end], self.start));
        pieces.into_iter().flatten()
    }

    /// Where its bytes stand in the source.
    pub(super) fn places(&self) -> Places<'a> {
        let is_same = matches!(self.text, Cow::Borrowed(_));
        let pieces = Pieces::new(&self.source[..self.end], self.start);
        Places { pieces: (!is_same).then_some(pieces), value: 0..0, source: self.start..self.start, end: self.end }
    }
}

/// Leads from a word's bytes to the source, forward only.
#[derive(Debug, Clone)]
pub(super) struct Places<'a> {
    /// None where the word stands for itself.
    pieces: Option<Pieces<'a>>,
    /// The piece that it has come to: in the word, and in the source.
    value: Range<usize>,
    source: Range<usize>,
    end: usize,
}

impl Places<'_> {
    /// Where these bytes of the word stand. `range` must not start before the last one's end.
    pub(super) fn of(&mut self, range: Range<usize>) -> Range<usize> {
        if range.is_empty() {
            let at = self.byte(range.start).start;
            return at..at;
        }
        let start = self.byte(range.start).start;
        start..self.byte(range.end - 1).end
    }

    /// Where one byte stands; behind the last one, the end.
    fn byte(&mut self, index: usize) -> Range<usize> {
        let Some(pieces) = &mut self.pieces else {
            let at = (self.source.start + index).min(self.end);
            return at..(at + 1).min(self.end);
        };
        while index >= self.value.end {
            let (len, source) = match pieces.next() {
                None => return self.source.end..self.source.end,
                Some(Piece::Plain(range) | Piece::Expansion(range)) => (range.len(), range),
                Some(Piece::Pattern(at)) => (1, at..at + 1),
                Some(Piece::Decoded(_, len, range)) => (len.into(), range),
                Some(Piece::Open(_)) => continue,
            };
            (self.value, self.source) = (self.value.end..self.value.end + len, source);
        }
        if self.value.len() == self.source.len() {
            let at = self.source.start + (index - self.value.start);
            return at..at + 1;
        }
        self.source.clone()
    }
}
