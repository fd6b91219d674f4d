//! What a line consists of.

use std::ops::Range;

use super::config::{Section, Sections};
use super::entries::Entries;
use super::shell::{Token, Tokens};
use super::{Form, Line, Word};
use crate::QemuVersion;
use crate::flag::{Flag, Syntax};

/// A part of a line.
///
/// ```
/// use qemu_dsl::line::{Item, Line};
/// let line = Line::shell("LC_ALL=C sudo qemu-system-x86_64 -S disk.img >log");
/// let items: Vec<_> = line.items().collect();
/// assert!(matches!(items[0], Item::Environment(_)));
/// assert!(matches!(items[1], Item::Wrapper(_)));
/// assert!(matches!(items[2], Item::Program(_)));
/// assert!(matches!(items[3], Item::Option(_)));
/// assert!(matches!(items[4], Item::Image(_)));
/// assert!(matches!(items[5], Item::Redirection(_)));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Item<'a> {
    /// An assignment before the program, `NAME=value`.
    Environment(Word<'a>),
    /// A word before the program that makes something else start it: `sudo`, `exec`, `-u`, `nobody`.
    Wrapper(Word<'a>),
    /// The program.
    Program(Word<'a>),
    /// A switch, and its argument if it takes one.
    Option(Opt<'a>),
    /// A word where a switch could be: to QEMU the first hard disk's image.
    Image(Word<'a>),
    /// A redirection of the shell's, such as `2>log`.
    Redirection(Range<usize>),
    /// Another command, or what joins it to this one.
    Other(Range<usize>),
    /// A section of a configuration file.
    Section(Section<'a>),
}

impl Item<'_> {
    /// Where it stands in the source.
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Environment(word) | Self::Wrapper(word) | Self::Program(word) | Self::Image(word) => word.span(),
            Self::Option(option) => option.span(),
            Self::Redirection(span) | Self::Other(span) => span.clone(),
            Self::Section(section) => section.span(),
        }
    }
}

/// A switch on a line, with its argument.
///
/// ```
/// use qemu_dsl::line::{Item, Line};
/// let line = Line::shell("--drive file=a,,b,snapshot");
/// let Some(Item::Option(drive)) = line.items().next() else { panic!("an option") };
/// assert_eq!(drive.name(), b"drive");
/// let entries: Vec<_> = drive.entries(None).map(|entry| (entry.key.to_vec(), entry.value.to_vec())).collect();
/// assert_eq!(entries, [(b"file".to_vec(), b"a,b".to_vec()), (b"snapshot".to_vec(), b"on".to_vec())]);
/// ```
#[derive(Debug, Clone)]
pub struct Opt<'a> {
    /// The switch as it is written, with its hyphens.
    pub word: Word<'a>,
    /// Its row; [`None`] where QEMU has no such switch.
    pub flag: Option<&'static Flag>,
    /// Its argument, if it takes one and there is one.
    pub value: Option<Word<'a>>,
}

impl Opt<'_> {
    /// The switch's name as it is written, without hyphens.
    pub fn name(&self) -> &[u8] {
        name(self.word.text())
    }

    /// Where switch and argument stand in the source.
    pub fn span(&self) -> Range<usize> {
        let word = self.word.span();
        word.start..self.value.as_ref().map_or(word.end, |value| value.span().end)
    }

    /// How this version of QEMU reads the argument; where none is known, how the newest one does.
    pub fn syntax(&self, version: Option<QemuVersion>) -> Syntax {
        self.flag.map_or(Syntax::Text, |flag| flag.syntax(version))
    }

    /// The keys and values of the argument, in the order in which they stand there, as this version of QEMU splits them; none where the
    /// argument is one text. Nothing is sorted out: of one key twice there are two.
    pub fn entries(&self, version: Option<QemuVersion>) -> Entries<'_> {
        match (&self.value, self.flag) {
            (Some(value), Some(flag)) => Entries::of(value, flag, version),
            _ => Entries::none(),
        }
    }
}

/// The name of the switch that is written so. QEMU takes off one hyphen more, if there are two.
pub(super) fn name(word: &[u8]) -> &[u8] {
    let name = word.strip_prefix(b"-").unwrap_or(word);
    name.strip_prefix(b"-").unwrap_or(name)
}

/// Words and what stands between them, whatever the form.
#[derive(Debug, Clone)]
enum Lexemes<'a> {
    Shell(&'a [u8], Tokens<'a>),
    /// Words that end with this byte.
    Split(&'a [u8], usize, u8),
}

#[derive(Debug)]
enum Lexeme<'a> {
    Word(Word<'a>),
    Redirection(Range<usize>),
    End(Range<usize>),
}

impl<'a> Lexemes<'a> {
    fn new(source: &'a [u8], form: Form, at: usize) -> Self {
        match form {
            Form::Shell => Self::Shell(source, Tokens::new(source, at)),
            Form::Lines => Self::Split(source, at, b'\n'),
            Form::Argv | Form::Config => Self::Split(source, at, 0),
        }
    }
}

impl<'a> Iterator for Lexemes<'a> {
    type Item = Lexeme<'a>;

    fn next(&mut self) -> Option<Lexeme<'a>> {
        match self {
            Self::Shell(source, tokens) => Some(match tokens.next()? {
                Token::Word(span) => Lexeme::Word(Word::shell(source, span)),
                Token::Redirection(span) => Lexeme::Redirection(span),
                Token::End(span) => Lexeme::End(span),
            }),
            Self::Split(source, at, end) => {
                if *at >= source.len() {
                    return None;
                }
                let start = *at;
                let len = memchr::memchr(*end, &source[start..]).unwrap_or(source.len() - start);
                *at = start + len + 1;
                Some(Lexeme::Word(Word::plain(source, start..start + len)))
            }
        }
    }
}

/// Where the command is, and its program.
#[derive(Debug, Clone, Copy)]
struct Command {
    start: usize,
    /// Where the program's word starts; none in a fragment that is options only.
    program: Option<usize>,
}

/// How much a word looks like a QEMU: 2 for `qemu-system-...`, 1 for other names that it has had.
fn looks_like_qemu(word: &[u8]) -> u8 {
    let base = &word[memchr::memrchr(b'/', word).map_or(0, |at| at + 1)..];
    if memchr::memmem::find(base, b"qemu-system-").is_some() {
        2
    } else {
        u8::from(matches!(base, b"qemu" | b"kvm" | b"qemu-kvm" | b"qemu-kvm-spice"))
    }
}

/// Whether a word is `NAME=value`.
fn is_assignment(word: &[u8]) -> bool {
    let name = &word[..memchr::memchr(b'=', word).unwrap_or(0)];
    name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

impl Command {
    /// The first command that runs a QEMU; where none does, the first one that is not assignments only.
    fn find(source: &[u8], form: Form) -> Self {
        let mut fallback = None;
        let mut found = Found::default();
        for lexeme in Lexemes::new(source, form, 0) {
            match lexeme {
                Lexeme::Word(word) => found.word(&word),
                Lexeme::Redirection(span) => found.start = found.start.or(Some(span.start)),
                Lexeme::End(_) => {
                    if let Some(command) = found.command(&mut fallback) {
                        return command;
                    }
                    found = Found::default();
                }
            }
        }
        found.command(&mut fallback).or(fallback).unwrap_or(Self { start: source.len(), program: None })
    }
}

/// What has been seen of a command.
#[derive(Debug, Default)]
struct Found {
    start: Option<usize>,
    first: Option<(usize, bool)>,
    likely: Option<usize>,
    likelier: Option<usize>,
}

impl Found {
    fn word(&mut self, word: &Word<'_>) {
        let (at, text) = (word.span().start, word.text());
        self.start = self.start.or(Some(at));
        let is_first = self.first.is_none();
        if is_first && is_assignment(text) {
            return;
        }
        // A fragment of options only, whatever stands in them.
        if matches!(self.first, Some((_, true))) {
            return;
        }
        let looks = looks_like_qemu(text);
        if is_first {
            self.first = Some((at, text.starts_with(b"-")));
            if matches!(self.first, Some((_, true))) {
                return;
            }
            if looks > 0 {
                self.likelier = Some(at);
            }
        }
        if looks == 2 {
            self.likelier = self.likelier.or(Some(at));
        } else if looks == 1 {
            self.likely = self.likely.or(Some(at));
        }
    }

    /// The command, if it runs a QEMU; otherwise it is kept if it is the first one.
    fn command(&self, fallback: &mut Option<Command>) -> Option<Command> {
        let (start, (first, is_option)) = (self.start?, self.first?);
        let qemu = self.likelier.or(self.likely);
        let program = qemu.or((!is_option).then_some(first));
        let command = Command { start, program };
        if qemu.is_some() || is_option {
            return Some(command);
        }
        fallback.get_or_insert(command);
        None
    }
}

/// The parts of a line. Made by [`Line::items`].
#[derive(Debug, Clone)]
pub struct Items<'a> {
    source: &'a [u8],
    lexemes: Lexemes<'a>,
    sections: Option<Sections<'a>>,
    command: Command,
    state: State,
    /// Whether there were only assignments so far.
    is_leading: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Before,
    Options,
    End,
}

impl<'a> Items<'a> {
    pub(super) fn new(line: &'a Line) -> Self {
        let (source, form) = (line.source(), line.form());
        let sections = (form == Form::Config).then(|| Sections::new(source));
        let command = match sections {
            Some(_) => Command { start: 0, program: None },
            None => Command::find(source, form),
        };
        let lexemes = Lexemes::new(source, form, command.start);
        Self { source, lexemes, sections, command, state: State::Start, is_leading: true }
    }

    /// What is there besides the command, if it is more than white space.
    fn other(&self, range: Range<usize>) -> Option<Item<'a>> {
        let blank = |byte: &u8| byte.is_ascii_whitespace();
        let text = &self.source[range.clone()];
        let start = range.start + text.iter().take_while(|byte| blank(byte)).count();
        let end = range.end - text.iter().rev().take_while(|byte| blank(byte)).count();
        (start < end).then_some(Item::Other(start..end))
    }

    fn option(&mut self, word: Word<'a>) -> Item<'a> {
        let flag = Flag::named_bytes(name(word.text()));
        let mut value = None;
        // Of a switch that QEMU does not have nobody knows; what looks like its argument is taken for it.
        let next = match self.lexemes.clone().next() {
            Some(Lexeme::Word(next)) => Some(next),
            _ => None,
        };
        let takes =
            flag.map_or_else(|| next.as_ref().is_some_and(|next| !next.text().starts_with(b"-")), Flag::takes_argument);
        if takes && next.is_some() {
            self.lexemes.next();
            value = next;
        }
        Item::Option(Opt { word, flag, value })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if let Some(sections) = &mut self.sections {
            return sections.next().map(Item::Section);
        }
        if self.state == State::Start {
            self.state = if self.command.program.is_some() { State::Before } else { State::Options };
            if let Some(other) = self.other(0..self.command.start) {
                return Some(other);
            }
        }
        if self.state == State::End {
            return None;
        }
        let word = match self.lexemes.next()? {
            Lexeme::Word(word) => word,
            Lexeme::Redirection(span) => return Some(Item::Redirection(span)),
            Lexeme::End(span) => {
                self.state = State::End;
                return self.other(span.start..self.source.len());
            }
        };
        if self.state == State::Before {
            let is_program = self.command.program == Some(word.span().start);
            if is_program {
                self.state = State::Options;
                return Some(Item::Program(word));
            }
            // Behind another word, an assignment is that word's matter.
            self.is_leading &= is_assignment(word.text());
            return Some(if self.is_leading { Item::Environment(word) } else { Item::Wrapper(word) });
        }
        if word.text().starts_with(b"-") { Some(self.option(word)) } else { Some(Item::Image(word)) }
    }
}
