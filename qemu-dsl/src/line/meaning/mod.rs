//! What a line means: every option in its explicit form.

mod board;
mod chardev;
mod references;
mod rewrite;

use std::ops::Range;

use super::{EntryKind, Item, Line, Opt};
use crate::QemuVersion;
use crate::accel::Architecture;
use crate::flag::{Flag, Repeat, Syntax};

pub use references::Reference;

/// What a line is for: read from the program's name, or given.
///
/// ```
/// use qemu_dsl::accel::Architecture;
/// use qemu_dsl::line::{Line, LineTarget};
/// let target = LineTarget::of(&Line::shell("qemu-system-aarch64 -M virt"));
/// assert_eq!((target.architecture, target.version), (Some(Architecture::Aarch64), None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LineTarget {
    /// The guests' architecture; [`None`] where the name does not say it: `kvm`.
    pub architecture: Option<Architecture>,
    /// QEMU's version. No line says it.
    pub version: Option<QemuVersion>,
}

impl LineTarget {
    /// What the program's name says.
    pub fn of(line: &Line) -> Self {
        let name = line.program().map(|word| word.text().to_vec()).unwrap_or_default();
        let at = memchr::memmem::rfind(&name, b"qemu-system-").map(|at| &name[at + 12..]);
        let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let name: Vec<u8> = at.unwrap_or_default().iter().take_while(word).copied().collect();
        let known = [Architecture::X86_64, Architecture::Aarch64, Architecture::Riscv64];
        let architecture = known.into_iter().find(|arch| arch.name().as_bytes() == name);
        Self { architecture, version: None }
    }

    /// The same for this architecture.
    #[must_use]
    pub fn architecture(mut self, architecture: Architecture) -> Self {
        self.architecture = Some(architecture);
        self
    }

    /// The same for this version of QEMU.
    #[must_use]
    pub fn version(mut self, version: QemuVersion) -> Self {
        self.version = Some(version);
        self
    }
}

/// Where a part comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From what stands here in the source.
    Written(Range<usize>),
    /// QEMU adds it by itself, for this reason.
    Added(&'static str),
}

/// What a part says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartValue {
    /// Nothing more than its switch.
    None,
    /// One text.
    Text(Vec<u8>),
    /// Keys and values, in order. A key can be there twice where QEMU makes a list of that (`hostfwd`); the last one counts elsewhere.
    Options(Vec<(Vec<u8>, Vec<u8>)>),
    /// The same, written as JSON; the text too.
    Json(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>),
}

/// One option in its explicit form: no shorthand, no implied key, no word alone.
///
/// ```
/// use qemu_dsl::line::Line;
/// let meaning = Line::shell("qemu-system-x86_64 -hda a.img").meaning();
/// let drive = &meaning.parts[0];
/// assert_eq!((drive.flag, drive.get("file"), drive.get("index")), ("drive", Some(&b"a.img"[..]), Some(&b"0"[..])));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// The switch, without its hyphen.
    pub flag: &'static str,
    /// What it says.
    pub value: PartValue,
    /// Where it comes from.
    pub origin: Origin,
}

impl Part {
    fn options(flag: &'static str, options: &[(&str, &[u8])], origin: &Origin) -> Self {
        let owned = options.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
        Self { flag, value: PartValue::Options(owned), origin: origin.clone() }
    }

    fn text(flag: &'static str, text: &[u8], origin: &Origin) -> Self {
        Self { flag, value: PartValue::Text(text.to_vec()), origin: origin.clone() }
    }

    /// Its keys and values; none where it has none.
    pub fn entries(&self) -> &[(Vec<u8>, Vec<u8>)] {
        match &self.value {
            PartValue::Options(options) | PartValue::Json(_, options) => options,
            PartValue::None | PartValue::Text(_) => &[],
        }
    }

    /// The value that counts for a key: the last one, and of `id` the first.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let mut found = self.entries().iter().filter(|(name, _)| name == key.as_bytes());
        let found = if key == "id" { found.next() } else { found.next_back() };
        found.map(|(_, value)| &**value)
    }

    fn is(&self, flag: &str, key: &str, value: &str) -> bool {
        self.flag == flag && self.get(key) == Some(value.as_bytes())
    }

    /// The id that others name it by, if it has one; of a block node its `node-name`.
    pub fn id(&self) -> Option<&[u8]> {
        if self.flag == "blockdev" { self.get("node-name") } else { self.get("id") }
    }

    fn set(&mut self, key: &str, value: &[u8]) {
        if let PartValue::Options(options) = &mut self.value {
            options.push((key.as_bytes().to_vec(), value.to_vec()));
        }
    }

    fn take(&mut self, key: &str) -> Option<Vec<u8>> {
        let found = self.get(key)?.to_vec();
        if let PartValue::Options(options) = &mut self.value {
            options.retain(|(name, _)| name != key.as_bytes());
        }
        Some(found)
    }

    /// Its argument, in text that QEMU reads as this part.
    ///
    /// ```
    /// use qemu_dsl::line::Line;
    /// let meaning = Line::shell("-device edu,id=a,,b").meaning();
    /// assert_eq!(meaning.parts[0].to_text().unwrap(), b"driver=edu,id=a,,b");
    /// ```
    pub fn to_text(&self) -> Option<Vec<u8>> {
        match &self.value {
            PartValue::None => None,
            PartValue::Text(text) | PartValue::Json(text, _) => Some(text.clone()),
            PartValue::Options(options) => {
                let mut out = Vec::new();
                for (key, value) in options {
                    if !out.is_empty() {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    out.push(b'=');
                    for &byte in value {
                        out.extend_from_slice(if byte == b',' { b",," } else { std::slice::from_ref(&byte) });
                    }
                }
                Some(out)
            }
        }
    }
}

/// What a line means. Made by [`Line::meaning`].
///
/// Shorthands and old spellings are rewritten as QEMU itself rewrites them, options of which QEMU makes one are one, and what QEMU
/// adds is there. What is not understood stays as it is written.
///
/// ```
/// use qemu_dsl::line::Line;
///
/// let line = Line::shell("qemu-system-x86_64 -nodefaults -enable-kvm -m 1G -m slots=2 -serial mon:stdio -drive file=a,if=virtio");
/// let meaning = line.meaning();
/// assert_eq!(meaning.to_line().to_string(), "qemu-system-x86_64 -nodefaults -accel accel=kvm -m size=1G,slots=2 \
///     -chardev id=serial0,mux=on,signal=off,backend=stdio -serial chardev:serial0 -mon chardev=serial0,mode=readline \
///     -drive file=a,if=none,id=virtio0 -device driver=virtio-blk-pci,drive=virtio0");
/// let reference = meaning.references().into_iter().find(|reference| reference.key == "drive").unwrap();
/// assert_eq!(meaning.parts[reference.to.unwrap()].id(), Some(&b"virtio0"[..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meaning {
    /// What it is for.
    pub target: LineTarget,
    /// The program, if there is one.
    pub program: Option<Vec<u8>>,
    /// All options, in the order in which they stand there; what QEMU adds comes last.
    pub parts: Vec<Part>,
    /// Whether what QEMU adds is known: with `-nodefaults` that is nothing, and of a machine type that this library does not know nobody
    /// can say.
    pub is_complete: bool,
}

impl Line {
    /// What the line means, for what the program's name says.
    pub fn meaning(&self) -> Meaning {
        self.meaning_for(LineTarget::of(self))
    }

    /// What the line means for this target.
    ///
    /// ```
    /// use qemu_dsl::QemuVersion;
    /// use qemu_dsl::line::{Line, LineTarget};
    /// let line = Line::shell("qemu-system-x86_64 -no-reboot");
    /// let target = LineTarget::of(&line).version(QemuVersion::new(5, 2, 0));
    /// assert_eq!(line.meaning_for(target).parts[0].flag, "no-reboot");
    /// assert_eq!(line.meaning().parts[0].flag, "action");
    /// ```
    pub fn meaning_for(&self, target: LineTarget) -> Meaning {
        let mut meaning = Meaning {
            target,
            program: self.program().map(|word| word.text().to_vec()),
            parts: Vec::new(),
            is_complete: false,
        };
        let mut counts = rewrite::Counts::default();
        for item in self.items() {
            match &item {
                Item::Option(option) => {
                    let part = read(option, target.version, &Origin::Written(item.span()));
                    rewrite::option(&mut meaning, part, &mut counts);
                }
                Item::Image(word) => {
                    let origin = Origin::Written(item.span());
                    let options = [("file", word.text()), ("index", b"0"), ("media", b"disk")];
                    meaning.parts.push(Part::options("drive", &options, &origin));
                }
                Item::Section(section) => {
                    let Some(flag) = section.flag() else { continue };
                    let mut part = Part::options(flag.name, &[], &Origin::Written(item.span()));
                    if let Some(id) = section.id() {
                        part.set("id", id);
                    }
                    if let PartValue::Options(options) = &mut part.value {
                        let pairs = section.entries().filter(|entry| entry.kind == EntryKind::Pair);
                        options.extend(pairs.map(|entry| (entry.key.into_owned(), entry.value.into_owned())));
                    }
                    rewrite::option(&mut meaning, part, &mut counts);
                }
                _ => {}
            }
        }
        rewrite::whole(&mut meaning, &mut counts);
        board::defaults(&mut meaning);
        meaning
    }
}

/// A switch and its entries, not rewritten.
fn read(option: &Opt<'_>, version: Option<QemuVersion>, origin: &Origin) -> Part {
    let origin = origin.clone();
    let Some(flag) = option.flag else {
        // There is no place for its name: it is text, and QEMU refuses it anyway.
        return Part { flag: "", value: PartValue::Text(option.name().to_vec()), origin };
    };
    let flag = flag.alias_of.and_then(Flag::named).unwrap_or(flag);
    let Some(value) = &option.value else {
        return Part { flag: flag.name, value: PartValue::None, origin };
    };
    let is_text =
        matches!(flag.syntax(version), Syntax::None | Syntax::Text | Syntax::Chardev | Syntax::Cpu | Syntax::Set);
    let is_json = flag.is_json(value.text(), version);
    let entries: Vec<_> = option.entries(version).collect();
    // What QEMU refuses stays as it is; so does help.
    let is_refused = entries.iter().any(|entry| entry.kind == EntryKind::Refused);
    if (is_text && !is_json) || is_refused || (flag.name == "display" && value.text().starts_with(b"vnc=")) {
        return Part { flag: flag.name, value: PartValue::Text(value.text().to_vec()), origin };
    }
    let mut options: Vec<_> =
        entries.into_iter().map(|entry| (entry.key.into_owned(), entry.value.into_owned())).collect();
    if is_json {
        for (_, value) in &mut options {
            match &**value {
                b"true" => *value = b"on".to_vec(),
                b"false" => *value = b"off".to_vec(),
                _ => {}
            }
        }
        return Part { flag: flag.name, value: PartValue::Json(value.text().to_vec(), options), origin };
    }
    if flag.syntax(version) == Syntax::Global
        && let [(key, value)] = &mut options[..]
        && let Some(dot) = memchr::memchr(b'.', key)
    {
        let (driver, property, value) = (key[..dot].to_vec(), key[dot + 1..].to_vec(), std::mem::take(value));
        let keys = ["driver", "property", "value"].map(|key| key.as_bytes().to_vec());
        options = keys.into_iter().zip([driver, property, value]).collect();
    }
    Part { flag: flag.name, value: PartValue::Options(options), origin }
}

impl Meaning {
    /// The first part with this switch.
    pub fn part(&self, flag: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.flag == flag)
    }

    /// Whether there is such a switch.
    pub fn has(&self, flag: &str) -> bool {
        self.part(flag).is_some()
    }

    /// The machine type, as it is written; where none is, the one that QEMU takes then.
    pub fn machine(&self) -> Option<&[u8]> {
        let written = self.part("machine").and_then(|part| part.get("type"));
        let default = || (self.target.architecture == Some(Architecture::X86_64)).then_some(&b"pc"[..]);
        written.or_else(default)
    }

    /// Adds keys to the part of a switch of which there is one, or makes it.
    fn merge(&mut self, part: Part) {
        let PartValue::Options(new) = part.value else { return self.parts.push(part) };
        let there = self.parts.iter_mut().find(|there| there.flag == part.flag);
        let mut own = Vec::new();
        let (options, is_there) = match there {
            Some(Part { value: PartValue::Options(options), .. }) => (options, true),
            _ => (&mut own, false),
        };
        for entry in new {
            replace(options, entry);
        }
        if !is_there {
            self.parts.push(Part { value: PartValue::Options(own), ..part });
        }
    }

    /// Adds a part as QEMU adds it to what is there.
    fn add(&mut self, part: Part) {
        let repeat = Flag::named(part.flag).map_or(Repeat::List, |flag| flag.repeat);
        match repeat {
            Repeat::Merge => self.merge(part),
            Repeat::Last | Repeat::Same => match self.parts.iter_mut().find(|there| there.flag == part.flag) {
                Some(there) => *there = part,
                None => self.parts.push(part),
            },
            Repeat::List | Repeat::Once => self.parts.push(part),
        }
    }

    /// The line that says all of it explicitly, what QEMU adds included; that needs `-nodefaults`, which is put in.
    pub fn to_line(&self) -> Line {
        let mut words: Vec<Vec<u8>> = self.program.iter().cloned().collect();
        let is_added = |part: &Part| matches!(part.origin, Origin::Added(_));
        if self.parts.iter().any(is_added) && !self.has("nodefaults") {
            words.push(b"-nodefaults".to_vec());
        }
        for part in &self.parts {
            if part.flag.is_empty() {
                words.extend(part.to_text().map(|name| [b"-", &name[..]].concat()));
                continue;
            }
            words.push([b"-", part.flag.as_bytes()].concat());
            words.extend(part.to_text());
        }
        Line::argv(words.iter().map(|word| <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(word)))
    }
}

/// Sets a key of which there is one.
fn replace(options: &mut Vec<(Vec<u8>, Vec<u8>)>, (key, value): (Vec<u8>, Vec<u8>)) {
    match options.iter_mut().find(|(name, _)| *name == key) {
        Some((_, old)) => *old = value,
        None => options.push((key, value)),
    }
}
