//! What is wrong with a line, whatever machine it describes.

use std::ops::{ControlFlow, Range};

use super::shell::Piece;
use super::{Entry, EntryKind, Form, Item, Line, Opt, Word};
use crate::QemuVersion;
use crate::flag::Flag;
use crate::text::beginning;

/// How many problems are told: nobody reads more, and a hostile text has one for each byte.
const MAX_PROBLEMS: usize = 1000;
/// How much of a text is shown.
const SHOWN: usize = 60;

/// Something in a line that cannot be read, or that QEMU does not take. Each says where it is.
///
/// ```
/// use qemu_dsl::line::Line;
/// let line = Line::shell("qemu-system-x86_64 -drvie file=a");
/// assert_eq!(
///     line.problems(None)[0].to_string(),
///     "QEMU has no switch `-drvie` (at byte 19): did you mean `-drive`?",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A variable or a substitution.
    #[error("`{text}` at byte {} is a shell's to replace, and its value is not known here: write the value itself", span.start)]
    Expansion {
        /// Where it stands.
        span: Range<usize>,
        /// What stands there.
        text: String,
    },
    /// A pattern that a shell replaces where file names fit it.
    #[error("`{text}` at byte {} is a pattern to a shell, which replaces it where a file's name fits: quote it", span.start)]
    Pattern {
        /// Where it stands.
        span: Range<usize>,
        /// The pattern's byte.
        text: String,
    },
    /// A quote or a substitution without an end.
    #[error("the quote or substitution at byte {} has no end: close it", span.start)]
    Open {
        /// Where it starts.
        span: Range<usize>,
    },
    /// More than one command.
    #[error("`{text}` at byte {} is no part of QEMU's command, and was left out", span.start)]
    Other {
        /// Where it stands.
        span: Range<usize>,
        /// What stands there.
        text: String,
    },
    /// No options at all.
    #[error("there is no QEMU command here: a line has a program, `qemu-system-x86_64`, or starts with a switch")]
    Empty,
    /// A switch that no QEMU has.
    #[error("QEMU has no switch `{text}` (at byte {}){}", span.start, suggestion.map_or_else(|| ": leave it out".to_owned(), |name| format!(": did you mean `-{name}`?")))]
    UnknownFlag {
        /// Where it stands.
        span: Range<usize>,
        /// The switch.
        text: String,
        /// A switch of a similar name.
        suggestion: Option<&'static str>,
    },
    /// A switch that this version does not have.
    #[error("QEMU {version} has no switch `-{flag}` (at byte {}), and others have: leave it out, or use another version", span.start)]
    FlagVersion {
        /// Where it stands.
        span: Range<usize>,
        /// Its name.
        flag: &'static str,
        /// The version.
        version: QemuVersion,
    },
    /// A switch without its argument.
    #[error("`-{flag}` at byte {} has no argument, and needs one", span.start)]
    NoArgument {
        /// Where it stands.
        span: Range<usize>,
        /// Its name.
        flag: &'static str,
    },
    /// A word alone where a key and a value are wanted.
    #[error("`{text}` at byte {} has no value, and `-{flag}` has no booleans without one: write `{text}=on`", span.start)]
    NoValue {
        /// Where it stands.
        span: Range<usize>,
        /// The word.
        text: String,
        /// The switch.
        flag: &'static str,
    },
    /// An argument that starts as JSON and is none.
    #[error("the argument of `-{flag}` is no JSON from byte {} on: mend it, or write `key=value`", span.start)]
    Json {
        /// Where it stops being JSON.
        span: Range<usize>,
        /// The switch.
        flag: &'static str,
    },
    /// A line of a configuration file that QEMU does not take.
    #[error("`{text}` at byte {} is no line of a configuration file: write `key = \"value\"`, with spaces around the `=`, in at most 1022 bytes", span.start)]
    ConfigLine {
        /// Where it stands.
        span: Range<usize>,
        /// What stands there.
        text: String,
    },
    /// A section that QEMU does not have.
    #[error("`[{group}]` at byte {} is no group of options that this library knows", span.start)]
    UnknownGroup {
        /// Where it stands.
        span: Range<usize>,
        /// The group.
        group: String,
    },
}

impl Problem {
    /// Where it is in the source, in bytes; of a line that is empty, its start.
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Empty => 0..0,
            Self::Expansion { span, .. }
            | Self::Pattern { span, .. }
            | Self::Open { span }
            | Self::Other { span, .. }
            | Self::UnknownFlag { span, .. }
            | Self::FlagVersion { span, .. }
            | Self::NoArgument { span, .. }
            | Self::NoValue { span, .. }
            | Self::Json { span, .. }
            | Self::ConfigLine { span, .. }
            | Self::UnknownGroup { span, .. } => span.clone(),
        }
    }
}

type Flow = ControlFlow<()>;

struct Search<'a> {
    source: &'a [u8],
    version: Option<QemuVersion>,
    found: Vec<Problem>,
}

impl Line {
    /// What cannot be read in the line, and what QEMU, of this version if one is given, would refuse whatever the machine; the first
    /// 1,000. What a machine lacks for it is not looked at.
    pub fn problems(&self, version: Option<QemuVersion>) -> Vec<Problem> {
        let mut search = Search { source: self.source(), version, found: Vec::new() };
        let mut is_empty = true;
        for item in self.items() {
            is_empty &= matches!(item, Item::Environment(_) | Item::Other(_) | Item::Redirection(_));
            if search.item(&item).is_break() {
                break;
            }
        }
        if is_empty && self.form() != Form::Config {
            search.found.push(Problem::Empty);
        }
        search.found
    }
}

impl Search<'_> {
    fn add(&mut self, problem: Problem) -> Flow {
        self.found.push(problem);
        if self.found.len() < MAX_PROBLEMS { Flow::Continue(()) } else { Flow::Break(()) }
    }

    fn text(&self, span: &Range<usize>) -> String {
        let bytes = &self.source[span.clone()];
        beginning(bytes, SHOWN).escape_debug().to_string()
    }

    fn item(&mut self, item: &Item<'_>) -> Flow {
        match item {
            Item::Environment(word) | Item::Wrapper(word) | Item::Program(word) | Item::Image(word) => self.word(word),
            Item::Redirection(_) => Flow::Continue(()),
            Item::Other(span) => {
                let (span, text) = (span.clone(), self.text(span));
                self.add(Problem::Other { span, text })
            }
            Item::Option(option) => {
                self.word(&option.word)?;
                if let Some(value) = &option.value {
                    self.word(value)?;
                }
                self.option(option)
            }
            Item::Section(section) => {
                if section.flag().is_none() && !section.group().is_empty() {
                    let group = String::from_utf8_lossy(section.group()).escape_debug().to_string();
                    self.add(Problem::UnknownGroup { span: section.span(), group })?;
                }
                for entry in section.entries() {
                    let is_before = section.group().is_empty();
                    if is_before || entry.kind == EntryKind::Refused {
                        let (span, text) = (entry.span.clone(), self.text(&entry.span));
                        self.add(Problem::ConfigLine { span, text })?;
                    }
                }
                Flow::Continue(())
            }
        }
    }

    fn word(&mut self, word: &Word<'_>) -> Flow {
        for piece in word.pieces() {
            match piece {
                Piece::Plain(_) | Piece::Decoded(..) => {}
                Piece::Expansion(span) => {
                    let text = self.text(&span);
                    self.add(Problem::Expansion { span, text })?;
                }
                Piece::Pattern(at) => {
                    let (span, text) = (at..at + 1, self.text(&(at..at + 1)));
                    self.add(Problem::Pattern { span, text })?;
                }
                Piece::Open(at) => self.add(Problem::Open { span: at..word.span().end })?,
            }
        }
        Flow::Continue(())
    }

    fn option(&mut self, option: &Opt<'_>) -> Flow {
        let span = option.word.span();
        let Some(flag) = option.flag else {
            let text = self.text(&span);
            return self.add(Problem::UnknownFlag { span, text, suggestion: Flag::nearest(option.name()) });
        };
        if let Some(version) = self.version
            && flag.exists_in(version) == Some(false)
        {
            self.add(Problem::FlagVersion { span: span.clone(), flag: flag.name, version })?;
        }
        if flag.takes_argument() && option.value.is_none() {
            return self.add(Problem::NoArgument { span, flag: flag.name });
        }
        let is_json = option.value.as_ref().is_some_and(|value| flag.is_json(value.text(), self.version));
        for entry in option.entries(self.version) {
            self.entry(&entry, flag.name, is_json)?;
        }
        Flow::Continue(())
    }

    fn entry(&mut self, entry: &Entry<'_>, flag: &'static str, is_json: bool) -> Flow {
        let span = entry.span.clone();
        match entry.kind {
            EntryKind::Refused if is_json => self.add(Problem::Json { span, flag }),
            // Asking for help is no option.
            EntryKind::Refused if !matches!(&*entry.key, b"help" | b"?") => {
                let text = self.text(&span);
                self.add(Problem::NoValue { span, text, flag })
            }
            _ => Flow::Continue(()),
        }
    }
}
