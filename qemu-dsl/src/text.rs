//! What guests, QEMU and other programs say, made fit to be shown to people.
//!
//! A terminal obeys what it is sent: a guest that writes control characters can colour, move and hide text, rename the window, and on
//! some terminals type commands. So whatever comes from a guest or from QEMU is shown with everything that a terminal or a text
//! renderer would obey made visible:
//!
//! | what | shown as |
//! |---|---|
//! | C0 controls and DEL | `^[`, `^@`, `^?`, as `cat -v` does |
//! | C1 controls: U+0080 to U+009F | `\u{9b}` |
//! | bidirectional controls: U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069 | `\u{202e}` |
//! | line and paragraph separators: U+2028, U+2029 | `\u{2028}` |
//! | bytes that are not UTF-8 | `\xff` |
//!
//! All other text is left as it is. Errors and results keep what was said in their fields: this is for showing it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The beginning of a text, for an error: no more bytes than these, and dots where there are more. It is not made visible yet.
pub(crate) fn beginning(text: &[u8], most: usize) -> String {
    let start = String::from_utf8_lossy(&text[..text.len().min(most)]).into_owned();
    if text.len() > most { start + "..." } else { start }
}

/// A whole text, of several lines: line feeds and tabs stay, and a carriage return before a line feed is dropped.
///
/// ```
/// use qemu_dsl::text::visible;
/// assert_eq!(visible(b"Debian GNU/Linux\r\n"), "Debian GNU/Linux\n");
/// assert_eq!(visible("\u{1b}[31mred\u{9b}0m \u{202e}\n".as_bytes()), "^[[31mred\\u{9b}0m \\u{202e}\n");
/// assert_eq!(visible(b"\xff\0"), "\\xff^@");
/// ```
pub fn visible(text: &[u8]) -> Cow<'_, str> {
    whole(text, Layout::Lines)
}

/// A text that has to stay on its line: line feeds, carriage returns and tabs are made visible too.
///
/// ```
/// assert_eq!(qemu_dsl::text::visible_line(b"pong 1\nsandbox: all is well"), "pong 1^Jsandbox: all is well");
/// ```
pub fn visible_line(text: &[u8]) -> Cow<'_, str> {
    whole(text, Layout::OneLine)
}

fn whole(text: &[u8], layout: Layout) -> Cow<'_, str> {
    let mut shown = Visible { layout, ..Visible::new() };
    let mut start = shown.show(text);
    let end = shown.finish();
    if !end.is_empty() {
        start.to_mut().push_str(&end);
    }
    start
}

/// A text of several lines that comes in pieces, such as a console: what [`visible`] makes of the whole, wherever it is cut.
///
/// ```
/// use qemu_dsl::text::Visible;
/// let mut console = Visible::new();
/// assert_eq!(console.show(b"Gr\xc3"), "Gr");
/// assert_eq!(console.show(b"\xbc\xc3\x9fe\r"), "üße");
/// assert_eq!(console.show(b"\n"), "\n");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Visible {
    layout: Layout,
    /// What cannot be judged before more comes: the beginning of a character, or a carriage return.
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Layout {
    #[default]
    Lines,
    OneLine,
}

impl Visible {
    /// At the beginning of a text.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next piece. What its last bytes mean may depend on the next: such bytes, three at most, are shown with that one.
    pub fn show<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, str> {
        let (all, held): (Cow<'a, [u8]>, _) = if self.held.is_empty() {
            let held = self.undecided(piece);
            (piece[..piece.len() - held].into(), &piece[piece.len() - held..])
        } else {
            let mut all = std::mem::take(&mut self.held);
            all.extend_from_slice(piece);
            let held = self.undecided(&all);
            self.held = all.split_off(all.len() - held);
            (all.into(), &[][..])
        };
        self.held.extend_from_slice(held);
        match all {
            Cow::Borrowed(bytes) => self.escaped(bytes),
            Cow::Owned(bytes) => self.escaped(&bytes).into_owned().into(),
        }
    }

    /// What is left when no more comes. The next piece begins another text.
    pub fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        self.escaped(&held).into_owned()
    }

    /// How many of the last bytes cannot be judged yet.
    fn undecided(&self, bytes: &[u8]) -> usize {
        if self.layout == Layout::Lines && bytes.ends_with(b"\r") {
            return 1;
        }
        // The longest beginning of a character that is none has three bytes.
        let tail = &bytes[bytes.len().saturating_sub(3)..];
        let start = tail.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(tail.len());
        match std::str::from_utf8(&tail[start..]) {
            Err(error) if error.error_len().is_none() => tail.len() - start,
            _ => 0,
        }
    }

    fn escaped<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        if let Ok(text) = std::str::from_utf8(bytes)
            && !text.chars().any(|char| self.is_escaped(char))
        {
            return text.into();
        }
        let mut shown = String::with_capacity(bytes.len() + bytes.len() / 8);
        for chunk in bytes.utf8_chunks() {
            let mut chars = chunk.valid().chars().peekable();
            while let Some(char) = chars.next() {
                match char {
                    '\r' if self.layout == Layout::Lines && chars.peek() == Some(&'\n') => {}
                    char if !self.is_escaped(char) => shown.push(char),
                    // ESC is ^[.
                    '\0'..='\x1f' | '\x7f' => {
                        shown.push('^');
                        shown.push(char::from(char as u8 ^ 0x40));
                    }
                    _ => shown.extend(char.escape_unicode()),
                }
            }
            for byte in chunk.invalid() {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\x{byte:02x}");
            }
        }
        shown.into()
    }

    fn is_escaped(&self, char: char) -> bool {
        match char {
            '\n' | '\t' => self.layout == Layout::OneLine,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
            _ => char.is_control(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a terminal or a renderer would obey, written down once more.
    fn is_obeyed(char: char) -> bool {
        let code = u32::from(char);
        code < 0x20
            || (0x7f..=0x9f).contains(&code)
            || [0x61c, 0x200e, 0x200f].contains(&code)
            || (0x2028..=0x202e).contains(&code)
            || (0x2066..=0x2069).contains(&code)
    }

    #[test]
    fn each_kind() {
        assert_eq!(visible(b"\x1b]0;title\x07\x7f"), "^[]0;title^G^?");
        assert_eq!(visible(b"\xc2\x9b31m \x9b31m"), "\\u{9b}31m \\x9b31m");
        assert_eq!(visible("a\u{202e}b\u{2066}c\u{200f}d\u{61c}e\u{2028}f".as_bytes()), {
            "a\\u{202e}b\\u{2066}c\\u{200f}d\\u{61c}e\\u{2028}f"
        });
        assert_eq!(visible(b"1%\r2%\r\n\r"), "1%^M2%\n^M");
        assert_eq!(visible_line(b"a\r\n\tb"), "a^M^J^Ib");
        assert_eq!(visible(b"\xe2\x82"), "\\xe2\\x82");
        assert_eq!(visible(b"\xed\xa0\x80"), "\\xed\\xa0\\x80", "half of a surrogate pair");
        assert!(matches!(visible("grüße, 你好\t\n".as_bytes()), Cow::Borrowed(_)));
    }

    /// Bytes of which many are the beginnings and ends of what is escaped.
    fn said() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|char| char.to_string().into_bytes()),
            (0x80..0xa0_u8).prop_map(|byte| vec![0xc2, byte]),
            (0x80..0xc0_u8).prop_map(|byte| vec![0xe2, 0x80, byte]),
            (0x80..0xc0_u8).prop_map(|byte| vec![0xe2, 0x81, byte]),
            proptest::sample::select(&b"\r\n\t\x1b\x7f\0"[..]).prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_is_obeyed(said in said()) {
            prop_assert!(!visible(&said).chars().any(|char| is_obeyed(char) && !"\n\t".contains(char)));
            prop_assert!(!visible_line(&said).chars().any(is_obeyed));
        }

        #[test]
        fn harmless_text_stays(text in "\\PC*") {
            prop_assume!(!text.chars().any(is_obeyed));
            prop_assert_eq!(visible(text.as_bytes()), &*text);
            prop_assert_eq!(visible_line(text.as_bytes()), &*text);
        }

        #[test]
        fn pieces_are_as_good_as_the_whole(said in said(), sizes in proptest::collection::vec(1..5_usize, 1..64)) {
            let mut console = Visible::new();
            let mut shown = String::new();
            let mut rest = &said[..];
            for size in sizes.iter().cycle() {
                let (piece, next) = rest.split_at((*size).min(rest.len()));
                shown.push_str(&console.show(piece));
                prop_assert!(console.held.len() <= 3);
                rest = next;
                if rest.is_empty() {
                    break;
                }
            }
            shown.push_str(&console.finish());
            prop_assert_eq!(&*shown, visible(&said));
        }
    }
}
