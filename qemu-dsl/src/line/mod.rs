//! A command line as data: what stands in it, byte for byte, and what QEMU makes of it.
//!
//! ```
//! use qemu_dsl::line::{Item, Line};
//!
//! let line = Line::shell("sudo qemu-system-x86_64 \\\n  -enable-kvm -drive 'file=my disk.qcow2,if=virtio' # mine\n");
//! assert_eq!(line.to_string(), "sudo qemu-system-x86_64 \\\n  -enable-kvm -drive 'file=my disk.qcow2,if=virtio' # mine\n");
//!
//! let drive = line.options().nth(1).unwrap();
//! let file = drive.entries(None).next().unwrap();
//! assert_eq!((&*file.key, &*file.value), (&b"file"[..], &b"my disk.qcow2"[..]));
//! assert_eq!(&line.source()[file.value_span], b"my disk.qcow2");
//!
//! // What a shell would put in is told, and not guessed.
//! let unclear = Line::shell("qemu-system-x86_64 -m $RAM");
//! assert_eq!(
//!     unclear.problems(None)[0].to_string(),
//!     "`$RAM` at byte 22 is a shell's to replace, and its value is not known here: write the value itself",
//! );
//! ```
//!
//! A [`Line`] is its source and nothing else: words, options and entries are found in it each time they are asked for, in one pass. So
//! it prints back as it was, costs the text's own memory however hostile the text is, and no text is an error: what cannot be read, or
//! what QEMU would refuse, is one of the [`problems`](Line::problems).
//!
//! Two syntaxes are told apart, for each switch and version ([`Syntax`](crate::flag::Syntax)): the older one, in which a word alone is a
//! boolean, and the newer, in which dots lead into structures; and JSON, where a switch takes it.

mod config;
mod entries;
mod items;
mod json;
mod meaning;
mod problem;
mod shell;
mod word;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

pub use config::Section;
pub use entries::{Entries, Entry, EntryKind};
pub use items::{Item, Items, Opt};
pub use meaning::{LineTarget, Meaning, Origin, Part, PartValue, Reference};
pub use problem::Problem;
pub use word::Word;

/// What a line's source looks like.
///
/// ```
/// use qemu_dsl::line::{Form, Line};
/// assert_eq!(Line::file("qemu-system-x86_64\n-m\n1G\n").form(), Form::Lines);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Words, each ended by a NUL, as in `/proc/PID/cmdline`.
    Argv,
    /// Text for a POSIX shell; libvirt's `.args` files are of this form.
    Shell,
    /// One word a line.
    Lines,
    /// The sections of a file for `-readconfig`.
    Config,
}

/// A command line, or a part of one, as it is written.
///
/// ```
/// use qemu_dsl::line::Line;
/// let line = Line::argv(["qemu-system-x86_64", "-S"]);
/// assert_eq!(line.source(), b"qemu-system-x86_64\0-S\0");
/// assert_eq!(line.program().unwrap().text(), b"qemu-system-x86_64");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    source: Vec<u8>,
    form: Form,
}

impl Line {
    /// A line from its words, the program first. They need not be UTF-8. A NUL, which no word of a process can have, ends one.
    pub fn argv<T: AsRef<OsStr>>(words: impl IntoIterator<Item = T>) -> Self {
        let mut source = Vec::new();
        for word in words {
            source.extend_from_slice(word.as_ref().as_bytes());
            source.push(0);
        }
        Self { source, form: Form::Argv }
    }

    /// Text for a shell: quotes, backslashes and comments mean there what POSIX says, and `$'...'` what it says since 2024. Of several
    /// commands the first one that runs a QEMU counts.
    pub fn shell(text: impl Into<Vec<u8>>) -> Self {
        Self { source: text.into(), form: Form::Shell }
    }

    /// One word a line, as it stands there. The last line need not be ended.
    pub fn lines(text: impl Into<Vec<u8>>) -> Self {
        Self { source: text.into(), form: Form::Lines }
    }

    /// A file for `-readconfig`.
    pub fn config(text: impl Into<Vec<u8>>) -> Self {
        Self { source: text.into(), form: Form::Config }
    }

    /// The text of a file whose form nobody says. A NUL makes it words; a first line with `[` sections; lines of which one starts
    /// with `-`, and none of those has a blank or goes on in the next, one word a line; anything else is a shell's.
    ///
    /// ```
    /// use qemu_dsl::line::{Form, Line};
    /// assert_eq!(Line::file("# mine\n[machine]\n  type = \"q35\"\n").form(), Form::Config);
    /// assert_eq!(Line::file("LC_ALL=C \\\nqemu-system-x86_64 \\\n-S\n").form(), Form::Shell);
    /// ```
    pub fn file(text: impl Into<Vec<u8>>) -> Self {
        let source = text.into();
        let form = form_of(&source);
        Self { source, form }
    }

    /// What it looks like.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What it was made from, byte for byte.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Its parts, in order. What stands between them is white space, comments and what ends a word.
    pub fn items(&self) -> Items<'_> {
        Items::new(self)
    }

    /// Its switches, in order.
    pub fn options(&self) -> impl Iterator<Item = Opt<'_>> {
        self.items().filter_map(|item| match item {
            Item::Option(option) => Some(option),
            _ => None,
        })
    }

    /// The program, if one is named.
    pub fn program(&self) -> Option<Word<'_>> {
        self.items().find_map(|item| match item {
            Item::Program(word) => Some(word),
            _ => None,
        })
    }

    /// The words that start QEMU: wrappers, the program, its arguments. Without assignments, and without what only a shell does.
    ///
    /// ```
    /// use qemu_dsl::line::Line;
    /// let words: Vec<_> = Line::shell("A=b kvm -name 'x y' >log").words().map(|word| word.text().to_vec()).collect();
    /// assert_eq!(words, [&b"kvm"[..], b"-name", b"x y"]);
    /// ```
    pub fn words(&self) -> impl Iterator<Item = Word<'_>> {
        self.items()
            .flat_map(|item| match item {
                Item::Wrapper(word) | Item::Program(word) | Item::Image(word) => [Some(word), None],
                Item::Option(option) => [Some(option.word), option.value],
                Item::Environment(_) | Item::Redirection(_) | Item::Other(_) | Item::Section(_) => [None, None],
            })
            .flatten()
    }
}

/// The source; bytes that are not UTF-8 are replaced, and NULs between words are spaces.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.source);
        if self.form != Form::Argv {
            return f.write_str(&text);
        }
        f.write_str(&text.trim_end_matches('\0').replace('\0', " "))
    }
}

fn form_of(text: &[u8]) -> Form {
    if text.contains(&0) {
        return Form::Argv;
    }
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).peekable();
    let first = lines.clone().find(|line| line[0] != b'#');
    if first.is_some_and(|line| line[0] == b'[') {
        return Form::Config;
    }
    let has_blank = |line: &[u8]| line.iter().any(|byte| matches!(byte, b' ' | b'\t'));
    let is_open = |line: &[u8]| line.ends_with(b"\\");
    let is_single = lines.peek().is_some_and(|line| !has_blank(line));
    let mut options = lines.clone().filter(|line| line[0] == b'-').peekable();
    let are_lines = is_single
        && options.peek().is_some()
        && lines.clone().nth(1).is_some()
        && options.all(|line| !has_blank(line))
        && !lines.any(is_open);
    if are_lines { Form::Lines } else { Form::Shell }
}
