//! What an argument consists of: keys and values, split as QEMU splits them.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::json::Json;
use super::word::{Places, Word};
use crate::QemuVersion;
use crate::flag::{Flag, Release, Syntax};
use crate::opts::{end_of_value, unescape};

/// How an entry is written.
///
/// ```
/// use qemu_dsl::line::{EntryKind, Item, Line};
/// let line = Line::shell("-chardev socket,path=a,server,nowait");
/// let Some(Item::Option(chardev)) = line.items().next() else { panic!("an option") };
/// let kinds: Vec<_> = chardev.entries(None).map(|entry| entry.kind).collect();
/// assert_eq!(kinds, [EntryKind::Head, EntryKind::Pair, EntryKind::Word, EntryKind::NoWord]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// The first word, whose key is implied.
    Head,
    /// `key=value`.
    Pair,
    /// A word alone, which stands for `word=on`.
    Word,
    /// A word alone that starts with `no`, which stands for `off`: `nowait` is `wait=off`, and `node` would be `de=off`.
    NoWord,
    /// `+feature` of a CPU model.
    Plus,
    /// `-feature` of a CPU model.
    Minus,
    /// A scalar in JSON. Its key has a dot between the names that lead to it.
    Json,
    /// What QEMU refuses: a word alone where there are no booleans without a value, or text that is no JSON.
    Refused,
}

/// A key and its value.
///
/// ```
/// use qemu_dsl::line::{Item, Line};
/// let line = Line::shell("-device 'edu,id=a'");
/// let Some(Item::Option(device)) = line.items().next() else { panic!("an option") };
/// let id = device.entries(None).nth(1).unwrap();
/// assert_eq!((&*id.key, &*id.value), (&b"id"[..], &b"a"[..]));
/// assert_eq!(&line.source()[id.span], b"id=a");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key; of the first word alone the one that is implied.
    pub key: Cow<'a, [u8]>,
    /// The value, with single commas, and `on` or `off` for a word alone.
    pub value: Cow<'a, [u8]>,
    /// How it is written.
    pub kind: EntryKind,
    /// Where it stands in the source.
    pub span: Range<usize>,
    /// Where its value stands there: nothing, for a word alone.
    pub value_span: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Opts,
    Keyval,
    Cpu,
    /// One entry, split at the first `=`.
    Set,
}

/// The entries of an argument. Made by [`Opt::entries`](super::Opt::entries).
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    text: &'a [u8],
    places: Option<Places<'a>>,
    at: usize,
    way: Way,
    implied: Option<&'static str>,
    json: Option<Json<'a>>,
    /// A first word that the way does not find by itself: its end, and its key.
    head: Option<(usize, &'static str)>,
}

/// The kinds of network back ends that are read another way than the older ones. (`netdev_is_modern`, net/net.c)
const MODERN_NETDEVS: [&[u8]; 2] = [b"stream", b"dgram"];

/// The shorthands of character devices behind whose first word there can be options.
const WITH_OPTIONS: [&[u8]; 5] = [b"unix:", b"tcp:", b"telnet:", b"websocket:", b"tn3270:"];

impl<'a> Entries<'a> {
    pub(super) fn none() -> Self {
        Self { text: &[], places: None, at: 0, way: Way::Opts, implied: None, json: None, head: None }
    }

    /// Those of a text of the older syntax; the first word alone has the key `implied`.
    pub(super) fn opts(text: &'a [u8], implied: Option<&'static str>) -> Self {
        Self { text, implied, ..Self::none() }
    }

    pub(super) fn of(word: &'a Word<'_>, flag: &Flag, version: Option<QemuVersion>) -> Self {
        let text = word.text();
        let entries = Self { text, places: Some(word.places()), ..Self::none() };
        if flag.is_json(text, version) {
            return Self { json: Some(Json::new(text)), ..entries };
        }
        let opts = |implied| Self { implied, ..entries.clone() };
        let keyval = |implied| Self { way: Way::Keyval, implied, ..entries.clone() };
        match flag.syntax(version) {
            Syntax::None | Syntax::Text => Self::none(),
            Syntax::Opts(implied) => opts(implied),
            Syntax::Keyval(implied) => keyval(implied),
            Syntax::Netdev => {
                let newer = version.is_none_or(|version| Release::before(version) >= Release::V7_2);
                let kind = &text[..memchr(b',', text).unwrap_or(text.len())];
                let kind = kind.strip_prefix(b"type=").unwrap_or(kind);
                if newer && MODERN_NETDEVS.contains(&kind) { keyval(Some("type")) } else { opts(Some("type")) }
            }
            Syntax::Display => match text.strip_prefix(b"vnc=") {
                Some(_) => Self { at: 4, implied: Some("vnc"), ..entries },
                None => keyval(Some("type")),
            },
            Syntax::Chardev => {
                let start = if text.starts_with(b"mon:") { 4 } else { 0 };
                let is_open = WITH_OPTIONS.iter().any(|prefix| text[start..].starts_with(prefix));
                let end = if is_open { memchr(b',', text).unwrap_or(text.len()) } else { text.len() };
                Self { head: Some((end, "backend")), ..entries }
            }
            Syntax::Cpu => Self { way: Way::Cpu, implied: Some("model"), ..entries },
            Syntax::Global => {
                // `driver.property=value` is one entry; otherwise the keys are named. (`qemu_global_option`, qdev-monitor.c)
                let key = &text[..memchr2(b'=', b',', text).unwrap_or(text.len())];
                if memchr(b'.', key).is_some() { Self { way: Way::Set, ..entries } } else { entries }
            }
            Syntax::Set => Self { way: Way::Set, ..entries },
        }
    }

    fn entry(&mut self, kind: EntryKind, key: Cow<'a, [u8]>, value: Cow<'a, [u8]>, at: [usize; 3]) -> Entry<'a> {
        let [start, value_at, end] = at;
        let (span, value_span) = match &mut self.places {
            None => (start..end, value_at..end),
            Some(places) => {
                let before = places.of(start..value_at);
                let behind = places.of(value_at..end);
                let end = if value_at == end { before.end } else { behind.end };
                (if start == value_at { behind.start } else { before.start }..end, behind)
            }
        };
        Entry { key, value, kind, span, value_span }
    }

    /// A value that ends at a single comma.
    fn value(&mut self, start: usize) -> (Cow<'a, [u8]>, usize) {
        let end = end_of_value(self.text, start);
        self.at = end + 1;
        (unescape(&self.text[start..end]), end)
    }

    fn pair_or_word(&mut self) -> Entry<'a> {
        let (start, implied) = (self.at, self.implied.take());
        let rest = &self.text[start..];
        let stop = memchr2(b'=', b',', rest).unwrap_or(rest.len());
        let key = &rest[..stop];
        if rest.get(stop) == Some(&b'=') {
            let value_at = start + stop + 1;
            let (value, end) = self.value(value_at);
            return self.entry(EntryKind::Pair, key.into(), value, [start, value_at, end]);
        }
        if let Some(implied) = implied.filter(|_| self.way == Way::Opts || stop > 0) {
            let (value, end) = self.value(start);
            return self.entry(EntryKind::Head, implied.as_bytes().into(), value, [start, start, end]);
        }
        let end = start + stop;
        self.at = end + 1;
        let (kind, key, value): (_, _, &[u8]) = match key.strip_prefix(b"no") {
            _ if self.way == Way::Keyval => (EntryKind::Refused, key, b""),
            Some(key) => (EntryKind::NoWord, key, b"off"),
            None => (EntryKind::Word, key, b"on"),
        };
        self.entry(kind, key.into(), value.into(), [start, end, end])
    }

    /// A CPU model or feature. Nothing is escaped there. (`x86_cpu_parse_featurestr`, target/i386/cpu.c)
    fn feature(&mut self) -> Entry<'a> {
        let (start, implied) = (self.at, self.implied.take());
        let rest = &self.text[start..];
        let len = memchr(b',', rest).unwrap_or(rest.len());
        let (word, end) = (&rest[..len], start + len);
        self.at = end + 1;
        if let Some(implied) = implied {
            return self.entry(EntryKind::Head, implied.as_bytes().into(), word.into(), [start, start, end]);
        }
        let on: Cow<'_, [u8]> = b"on"[..].into();
        match (word.first(), memchr(b'=', word)) {
            (Some(b'+'), _) => self.entry(EntryKind::Plus, word[1..].into(), on, [start, end, end]),
            (Some(b'-'), _) => self.entry(EntryKind::Minus, word[1..].into(), b"off"[..].into(), [start, end, end]),
            (_, Some(equals)) => {
                let at = [start, start + equals + 1, end];
                self.entry(EntryKind::Pair, word[..equals].into(), word[equals + 1..].into(), at)
            }
            _ => self.entry(EntryKind::Word, word.into(), on, [start, end, end]),
        }
    }

    fn set(&mut self) -> Entry<'a> {
        let end = self.text.len();
        let start = std::mem::replace(&mut self.at, end);
        let text = &self.text[start..];
        match memchr(b'=', text) {
            Some(equals) => {
                let at = [start, start + equals + 1, end];
                self.entry(EntryKind::Pair, text[..equals].into(), text[equals + 1..].into(), at)
            }
            None => self.entry(EntryKind::Refused, text.into(), b""[..].into(), [start, end, end]),
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        if let Some(json) = &mut self.json {
            let found = json.next()?;
            return Some(match found {
                Ok(scalar) => {
                    let at = [scalar.start, scalar.value.start, scalar.value.end];
                    self.entry(EntryKind::Json, scalar.path.into(), scalar.text, at)
                }
                Err(at) => {
                    let end = self.text.len();
                    self.entry(EntryKind::Refused, b""[..].into(), b""[..].into(), [at, end, end])
                }
            });
        }
        if let Some((end, key)) = self.head.take() {
            self.at = end + 1;
            let head = &self.text[..end];
            return Some(self.entry(EntryKind::Head, key.as_bytes().into(), head.into(), [0, 0, end]));
        }
        if self.at >= self.text.len() {
            return None;
        }
        Some(match self.way {
            Way::Opts | Way::Keyval => self.pair_or_word(),
            Way::Cpu => self.feature(),
            Way::Set => self.set(),
        })
    }
}
