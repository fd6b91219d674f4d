//! The files of `-readconfig`. (`qemu_config_foreach`, util/qemu-config.c)

use std::borrow::Cow;
use std::ops::Range;

use super::entries::{Entry, EntryKind};
use crate::flag::Flag;

/// The longest line that QEMU reads, its end included; what is behind that would be the next line.
const MAX_LINE: usize = 1024;
/// The longest name of a group, id or key.
const MAX_NAME: usize = 63;

/// The groups that have another name than the switch.
const GROUPS: [(&str, &str); 6] = [
    ("acpi", "acpitable"),
    ("boot-opts", "boot"),
    ("memory", "m"),
    ("smp-opts", "smp"),
    ("cpu-def", "cpu"),
    ("option_rom", "option-rom"),
];

/// A section: `[device "net0"]`, and the lines below it.
///
/// ```
/// use qemu_dsl::line::{Item, Line};
/// let line = Line::config("[device \"nic0\"]\n  driver = \"e1000\"\n");
/// let Some(Item::Section(section)) = line.items().next() else { panic!("a section") };
/// assert_eq!((section.group(), section.id()), (&b"device"[..], Some(&b"nic0"[..])));
/// assert_eq!(&*section.entries().next().unwrap().value, b"e1000");
/// ```
#[derive(Debug, Clone)]
pub struct Section<'a> {
    source: &'a [u8],
    start: usize,
    /// Where the line of its name ends.
    body: usize,
    end: usize,
    group: Range<usize>,
    id: Option<Range<usize>>,
}

impl<'a> Section<'a> {
    /// What QEMU calls the group: `device`, `smp-opts`.
    pub fn group(&self) -> &'a [u8] {
        &self.source[self.group.clone()]
    }

    /// The id, if it has one.
    pub fn id(&self) -> Option<&'a [u8]> {
        self.id.clone().map(|id| &self.source[id])
    }

    /// The switch that has the same options.
    pub fn flag(&self) -> Option<&'static Flag> {
        let group = std::str::from_utf8(self.group()).ok()?;
        let named = GROUPS.iter().find(|(name, _)| *name == group).map_or(group, |(_, flag)| flag);
        Flag::named(named)
    }

    /// Where it stands in the source, up to the next one.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Its keys and values. A line that QEMU does not take is one that is refused.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let source = self.source;
        lines(&source[..self.end], self.body).filter(|line| !is_blank(&source[line.clone()])).map(|line| {
            pair(source, line.clone()).unwrap_or_else(|| {
                let nothing: Cow<'_, [u8]> = Cow::Borrowed(&[]);
                let end = line.end;
                Entry {
                    key: nothing.clone(),
                    value: nothing,
                    kind: EntryKind::Refused,
                    span: line,
                    value_span: end..end,
                }
            })
        })
    }
}

/// The lines of a text, without their ends.
fn lines(text: &[u8], from: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = from;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = at..at + len;
        at += len + 1;
        Some(line)
    })
}

/// Whether a line says nothing: only an empty one, and one whose first byte is `#`.
fn is_blank(line: &[u8]) -> bool {
    line.is_empty() || line[0] == b'#'
}

/// `[group]` or `[group "id"]`; what stands behind is not looked at.
fn name(source: &[u8], line: Range<usize>) -> Option<(Range<usize>, Option<Range<usize>>)> {
    let text = &source[line.clone()];
    let inner = text.strip_prefix(b"[")?;
    let start = line.start + 1;
    let word = inner.iter().position(u8::is_ascii_whitespace).unwrap_or(inner.len());
    let gap = inner[word..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if gap > 0
        && let Some(id) = inner[word + gap..].strip_prefix(b"\"")
        && let Some(len @ 1..=MAX_NAME) = memchr::memchr(b'"', id)
        && (1..=MAX_NAME).contains(&word)
    {
        let at = start + word + gap + 1;
        return Some((start..start + word, Some(at..at + len)));
    }
    let len = memchr::memchr(b']', inner)?;
    (1..=MAX_NAME).contains(&len).then(|| (start..start + len, None))
}

/// ` key = "value"`, with white space on both sides of the `=`.
fn pair(source: &[u8], line: Range<usize>) -> Option<Entry<'_>> {
    if line.len() >= MAX_LINE {
        return None;
    }
    let text = &source[line.clone()];
    let blanks = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let start = blanks(0);
    let len = text[start..].iter().position(u8::is_ascii_whitespace)?;
    if !(1..=MAX_NAME).contains(&len) {
        return None;
    }
    let mut at = start + len;
    at += blanks(at);
    if text.get(at) != Some(&b'=') {
        return None;
    }
    at += 1;
    at += blanks(at);
    let value = text.get(at..)?.strip_prefix(b"\"")?;
    let value_len = memchr::memchr(b'"', value).unwrap_or(value.len());
    let value_at = line.start + at + 1;
    let end = value_at + value_len;
    Some(Entry {
        key: source[line.start + start..line.start + start + len].into(),
        value: source[value_at..end].into(),
        kind: EntryKind::Pair,
        span: line.start + start..(end + 1).min(line.end),
        value_span: value_at..end,
    })
}

/// The sections of a file. What stands before the first one is a section without a name.
#[derive(Debug, Clone)]
pub(super) struct Sections<'a> {
    source: &'a [u8],
    at: usize,
}

impl<'a> Sections<'a> {
    pub(super) fn new(source: &'a [u8]) -> Self {
        Self { source, at: 0 }
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        let (source, start) = (self.source, self.at);
        let mut found: Option<Section<'a>> = None;
        for line in lines(source, start) {
            self.at = (line.end + 1).min(source.len());
            match name(source, line.clone()) {
                Some(_) if found.is_some() => {
                    self.at = line.start;
                    break;
                }
                Some((group, id)) => {
                    let (start, body) = (line.start, self.at);
                    found = Some(Section { source, start, body, end: source.len(), group, id });
                }
                // QEMU refuses what stands before a group.
                None if found.is_none() && !is_blank(&source[line.clone()]) => {
                    let (start, group) = (line.start, line.start..line.start);
                    found = Some(Section { source, start, body: start, end: source.len(), group, id: None });
                }
                None => {}
            }
        }
        found.map(|section| Section { end: self.at, ..section })
    }
}
