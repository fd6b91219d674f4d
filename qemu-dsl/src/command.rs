//! [`QemuCommand`]: the finished command line.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

use memchr::memchr_iter;

#[cfg(feature = "host")]
use crate::opts::unescape;
use crate::opts::{Claim, Context, Id, Noted, OptError, OptWriter, QemuOpts, Role, Unique};
use crate::text::beginning;

/// What adding an argument gives: boxed, for an error is rare and large.
pub(crate) type Pushed = Result<(), Box<CommandError>>;

/// The longest argument that Linux hands to a program, its NUL included (`MAX_ARG_STRLEN`, `include/uapi/linux/binfmts.h`).
const MAX_ARG: usize = 128 * 1024;

/// A command line: the program and its arguments, in one buffer of NUL-terminated strings.
///
/// ```
/// use qemu_dsl::QemuCommand;
/// use qemu_dsl::backend::{Drive, Format};
///
/// let mut command = QemuCommand::new("qemu-system-x86_64")?;
/// command.arg("-nodefaults")?;
/// command.option("-drive", &Drive::new("a disk.qcow2", Format::Qcow2))?;
/// assert_eq!(
///     command.to_string(),
///     "qemu-system-x86_64 -nodefaults -drive 'file=a disk.qcow2,format=qcow2,if=none'",
/// );
/// # Ok::<(), qemu_dsl::CommandError>(())
/// ```
#[derive(Clone, Default)]
pub struct QemuCommand {
    arena: Vec<u8>,
    /// Where each argument ends: the offset behind its NUL.
    ends: Vec<u32>,
    /// Memory of the builder's, kept for the next command that is built in this one's place.
    pub(crate) scratch: Scratch,
}

/// What a builder keeps beside the command; empty when nothing is being built.
#[derive(Clone, Default)]
pub(crate) struct Scratch {
    /// The kernel command line.
    pub(crate) cmdline: Vec<u8>,
    /// What is used, and what must differ.
    pub(crate) noted: Noted,
    /// How many bytes of guest memory there are, where they start as a file's.
    pub(crate) template: Option<u64>,
}

impl PartialEq for QemuCommand {
    fn eq(&self, other: &Self) -> bool {
        (&self.arena, &self.ends) == (&other.arena, &other.ends)
    }
}

impl Eq for QemuCommand {}

impl QemuCommand {
    /// A command that runs `program`, without arguments yet.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when `program` is empty, holds a NUL byte or is too long.
    pub fn new(program: impl AsRef<OsStr>) -> Result<Self, CommandError> {
        let mut command = Self::default();
        if program.as_ref().is_empty() {
            return Err(CommandError::NoProgram);
        }
        command.arg(program)?;
        Ok(command)
    }

    /// An empty command with room for a usual VM.
    pub(crate) fn with_room() -> Self {
        Self::beside(Scratch {
            cmdline: Vec::with_capacity(512),
            noted: Noted { claims: Vec::with_capacity(16), parts: Vec::with_capacity(16), argument: 0 },
            template: None,
        })
    }

    /// The same with this memory of the builder's.
    fn beside(scratch: Scratch) -> Self {
        Self { arena: Vec::with_capacity(4096), ends: Vec::with_capacity(96), scratch }
    }

    /// A command whose arguments are there already: each ended by a NUL, and where each one ends. In the memory of another one,
    /// if there is one.
    pub(crate) fn filled(reuse: Option<Self>, fill: impl FnOnce(&mut Vec<u8>, &mut Vec<u32>)) -> Self {
        let mut command = reuse.unwrap_or_else(|| Self::beside(Scratch::default()));
        command.clear();
        fill(&mut command.arena, &mut command.ends);
        command
    }

    /// Removes all arguments and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.ends.clear();
        self.scratch.cmdline.clear();
        self.scratch.noted.clear();
        self.scratch.template = None;
    }

    /// Where the argument starts.
    fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] as usize }
    }

    /// How many bytes there are.
    pub(crate) fn size(&self) -> usize {
        self.arena.len()
    }

    /// The bytes of the arena in this range.
    pub(crate) fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.arena[range]
    }

    /// Adds an argument as it is.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it holds a NUL byte or is too long for the operating system.
    ///
    /// ```
    /// let mut command = qemu_dsl::QemuCommand::new("qemu-system-x86_64")?;
    /// command.arg("-S")?;
    /// assert!(command.arg("a\0b").is_err());
    /// assert_eq!(command.len(), 2);
    /// # Ok::<(), qemu_dsl::CommandError>(())
    /// ```
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> Result<&mut Self, CommandError> {
        let first = self.len();
        self.push(arg.as_ref().as_bytes()).map_err(|error| *error)?;
        self.reject_nul(first)?;
        Ok(self)
    }

    /// Adds `flag` and the text of `opts`, as two arguments.
    ///
    /// # Errors
    ///
    /// What [`OptError`] lists, and an argument too long for the operating system. The command is then as before.
    ///
    /// ```
    /// use qemu_dsl::device::VirtioBalloon;
    /// let mut command = qemu_dsl::QemuCommand::new("qemu-system-aarch64")?;
    /// command.option("-device", &VirtioBalloon::new().deflate_on_oom(true))?;
    /// assert!(command.to_string().ends_with("-device virtio-balloon-device,deflate-on-oom=on"));
    /// # Ok::<(), qemu_dsl::CommandError>(())
    /// ```
    pub fn option(&mut self, flag: &'static str, opts: &impl QemuOpts) -> Result<&mut Self, CommandError> {
        self.try_option(flag, &mut |writer| opts.write_opts(writer))?;
        Ok(self)
    }

    fn try_option(
        &mut self,
        flag: &'static str,
        write: &mut dyn FnMut(&mut OptWriter<'_>),
    ) -> Result<(), CommandError> {
        let first = self.len();
        self.push_option(flag, &Context::default(), None, write).map_err(|error| *error)?;
        self.reject_nul(first)
    }

    /// Drops the arguments from `first` on, if one of them holds a NUL byte.
    fn reject_nul(&mut self, first: usize) -> Result<(), CommandError> {
        let error = self.nuls(first).next();
        error.map_or(Ok(()), |error| {
            self.arena.truncate(self.start(first));
            self.ends.truncate(first);
            Err(error)
        })
    }

    /// The errors of the arguments from `first` on that hold a NUL byte. The methods that start with `push` leave this to
    /// their caller: to look at all arguments together takes a tenth of the time of looking at each.
    pub(crate) fn nuls(&self, first: usize) -> impl Iterator<Item = CommandError> {
        let own = self.len() - first;
        let last = if memchr_iter(0, &self.arena[self.start(first)..]).count() == own { first } else { self.len() };
        (first..last).filter_map(|index| {
            let arg = &self.arena[self.start(index)..self.ends[index] as usize - 1];
            let offset = arg.iter().position(|&byte| byte == 0)?;
            Some(CommandError::Nul { arg: shown(arg), offset })
        })
    }

    /// Adds an argument.
    pub(crate) fn push(&mut self, arg: &[u8]) -> Pushed {
        let start = self.arena.len();
        self.arena.extend_from_slice(arg);
        self.end_arg(start)
    }

    /// Adds a flag and a value that is put together in place.
    pub(crate) fn push_parts(&mut self, flag: &'static str, parts: &[&[u8]]) -> Pushed {
        let start = self.push_flag(flag);
        for part in parts {
            self.arena.extend_from_slice(part);
        }
        self.end_value(flag, start)
    }

    /// Adds a flag and options for a context and with an id. Not generic: one copy of this code serves all types.
    #[inline(always)]
    #[allow(clippy::inline_always)] // once for each part of a VM, and hardly ever from elsewhere
    pub(crate) fn push_option(
        &mut self,
        flag: &'static str,
        context: &Context,
        id: Option<&Id>,
        write: &mut dyn FnMut(&mut OptWriter<'_>),
    ) -> Pushed {
        let start = self.push_flag(flag);
        self.scratch.noted.argument = self.ends.len() + 1;
        let mut writer = OptWriter::new(&mut self.arena, context, id).noting(&mut self.scratch.noted);
        write(&mut writer);
        match writer.finish() {
            Ok(()) => self.end_value(flag, start),
            Err(source) => {
                self.arena.truncate(start - flag.len() - 1);
                Err(CommandError::Option { flag, source }.into())
            }
        }
    }

    /// Writes a flag, which its value ends. Returns where that starts.
    #[inline]
    fn push_flag(&mut self, flag: &'static str) -> usize {
        self.arena.extend_from_slice(flag.as_bytes());
        self.arena.push(0);
        self.arena.len()
    }

    /// Ends the value of a flag, which starts at `start`.
    #[inline(always)]
    #[allow(clippy::inline_always)] // as above
    fn end_value(&mut self, flag: &'static str, start: usize) -> Pushed {
        match u32::try_from(self.arena.len() + 1) {
            Ok(end) if end as usize - start <= MAX_ARG => {
                self.arena.push(0);
                #[allow(clippy::cast_possible_truncation)] // less than `end`
                self.ends.extend_from_slice(&[start as u32, end]);
                Ok(())
            }
            _ => Err(self.too_long(flag.len() + 1, start).into()),
        }
    }

    /// Ends the argument that starts at `start`.
    #[inline]
    fn end_arg(&mut self, start: usize) -> Pushed {
        match u32::try_from(self.arena.len() + 1) {
            Ok(end) if end as usize - start <= MAX_ARG => {
                self.arena.push(0);
                self.ends.push(end);
                Ok(())
            }
            _ => Err(self.too_long(0, start).into()),
        }
    }

    /// Removes the text from `start` on, with what stands before it.
    #[cold]
    fn too_long(&mut self, before: usize, start: usize) -> CommandError {
        let arg = &self.arena[start..];
        let error = if arg.len() < MAX_ARG {
            CommandError::TooMany
        } else {
            CommandError::TooLong { arg: shown(arg), len: arg.len() }
        };
        self.arena.truncate(start - before);
        error
    }

    /// The file that the guest's memory starts as, and how many bytes it must have.
    #[cfg(feature = "host")]
    pub(crate) fn template(&self) -> Option<(std::path::PathBuf, u64)> {
        let is_read = |claim: &&Claim| claim.kind == Unique::Path(Role::TemplateReader);
        let claim = self.scratch.noted.claims.iter().find(is_read)?;
        let path = self.arena.get(claim.text.clone())?;
        Some((OsStr::from_bytes(&unescape(path)).into(), self.scratch.template?))
    }

    /// Notes that the last argument's end, of this many bytes, is a path with this use. It is written without escaping.
    pub(crate) fn claim_path(&mut self, role: Role, before: usize, len: usize) {
        let start = self.start(self.ends.len() - 1) + before;
        self.scratch.noted.claims.push(Claim { kind: Unique::Path(role), text: start..start + len, escaped: false });
    }

    /// Removes `count` arguments, and what was noted of them.
    pub(crate) fn remove(&mut self, first: usize, count: usize) {
        let (start, end) = (self.start(first), self.start(first + count));
        self.arena.drain(start..end);
        self.ends.drain(first..first + count);
        #[allow(clippy::cast_possible_truncation)] // a difference of two ends
        for later in &mut self.ends[first..] {
            *later -= (end - start) as u32;
        }
        let noted = &mut self.scratch.noted;
        noted.claims.retain_mut(|claim| {
            let is_use = matches!(claim.kind, Unique::Use { .. });
            // The one is counted in arguments, the other in bytes.
            let (from, to) = if is_use { (first, first + count) } else { (start, end) };
            let (is_placed, is_later) = (is_use || !claim.text.is_empty(), claim.text.start >= to);
            if is_placed && is_later {
                claim.text = claim.text.start - (to - from)..claim.text.end - (to - from);
            }
            !is_placed || is_later || claim.text.start < from
        });
    }

    /// How many strings there are: the program and its arguments.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is not even a program.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The program and its arguments as C strings, ready for `execve`.
    ///
    /// ```
    /// let command = qemu_dsl::QemuCommand::new("qemu-system-x86_64")?;
    /// assert_eq!(command.argv().next(), Some(c"qemu-system-x86_64"));
    /// # Ok::<(), qemu_dsl::CommandError>(())
    /// ```
    pub fn argv(&self) -> impl ExactSizeIterator<Item = &CStr> + Clone {
        (0..self.ends.len()).map(|index| {
            let start = self.start(index);
            // Each argument ends with its only NUL, so this cannot fail.
            CStr::from_bytes_with_nul(&self.arena[start..self.ends[index] as usize]).unwrap_or_default()
        })
    }

    /// The program and its arguments as operating system strings.
    ///
    /// ```
    /// let command = qemu_dsl::QemuCommand::new("qemu-system-x86_64")?;
    /// assert!(command.args().eq(["qemu-system-x86_64"]));
    /// # Ok::<(), qemu_dsl::CommandError>(())
    /// ```
    pub fn args(&self) -> impl ExactSizeIterator<Item = &OsStr> + Clone {
        self.argv().map(|arg| OsStr::from_bytes(arg.to_bytes()))
    }

    /// The command as text for a POSIX shell, byte for byte: pasted there, it runs this command.
    ///
    /// [`Display`](fmt::Display) shows the same, with bytes that are not UTF-8 written as `$'\xff'`.
    ///
    /// ```
    /// let mut command = qemu_dsl::QemuCommand::new("echo")?;
    /// command.arg("it's")?;
    /// assert_eq!(command.to_string(), r"echo 'it'\''s'");
    /// # Ok::<(), qemu_dsl::CommandError>(())
    /// ```
    pub fn to_shell(&self) -> String {
        let mut out = String::new();
        for arg in self.argv() {
            if !out.is_empty() {
                out.push(' ');
            }
            // In the first place, `a=b` would be an assignment.
            let equals = !out.is_empty();
            quote(arg.to_bytes(), equals, &mut out);
        }
        out
    }

    /// A [`std::process::Command`] with this program and these arguments.
    ///
    /// ```
    /// let command = qemu_dsl::QemuCommand::new("true")?;
    /// assert!(command.to_command().status().unwrap().success());
    /// # Ok::<(), qemu_dsl::CommandError>(())
    /// ```
    pub fn to_command(&self) -> std::process::Command {
        let mut args = self.args();
        let mut command = std::process::Command::new(args.next().unwrap_or_default());
        command.args(args);
        command
    }
}

/// What can be shown of an argument in an error.
fn shown(arg: &[u8]) -> String {
    beginning(arg, 60)
}

/// Appends `arg` as one word of a POSIX shell; `=` stands for itself only where it may.
fn quote(arg: &[u8], equals: bool, out: &mut String) {
    use std::fmt::Write as _;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:,@%+".contains(byte) || (equals && *byte == b'=');
    match std::str::from_utf8(arg) {
        Ok(text) if !text.is_empty() && arg.iter().all(plain) => out.push_str(text),
        Ok(text) if !text.chars().any(char::is_control) => {
            out.push('\'');
            out.push_str(&text.replace('\'', r"'\''"));
            out.push('\'');
        }
        // Control characters would be eaten or obeyed by the terminal. `$'...'` is in POSIX since 2024, and in every
        // usual shell but dash before that.
        _ => {
            out.push_str("$'");
            for &byte in arg {
                match byte {
                    b'\'' | b'\\' => {
                        out.push('\\');
                        out.push(char::from(byte));
                    }
                    b' '..=b'~' => out.push(char::from(byte)),
                    // Octal: exactly three digits, so that a digit behind it stays a digit.
                    _ => {
                        let _ = write!(out, "\\{byte:03o}");
                    }
                }
            }
            out.push('\'');
        }
    }
}

impl fmt::Display for QemuCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_shell())
    }
}

impl fmt::Debug for QemuCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.args()).finish()
    }
}

/// Why an argument cannot be part of a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The program's name is empty.
    #[error("the program's name is empty: name a QEMU binary, such as `qemu-system-x86_64`")]
    NoProgram,
    /// A NUL byte in a raw argument.
    #[error("the argument `{}` holds a NUL byte at offset {offset}: a NUL ends an argument, so remove it", arg.escape_debug())]
    Nul {
        /// The argument, as far as it can be shown.
        arg: String,
        /// Where the NUL is.
        offset: usize,
    },
    /// An argument that the operating system would not hand on.
    #[error("the argument `{arg}` has {len} bytes, and Linux hands on at most 131071: shorten it")]
    TooLong {
        /// The argument's beginning.
        arg: String,
        /// How many bytes it has.
        len: usize,
    },
    /// More than 4 GiB of arguments.
    #[error("the command has more than 4 GiB of arguments, and no system hands that on")]
    TooMany,
    /// An option that cannot be written.
    #[error("{flag}: {source}")]
    Option {
        /// The flag before the options: `-device`.
        flag: &'static str,
        /// What is wrong.
        source: OptError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_for_a_shell() {
        let quoted = |arg: &[u8]| {
            let mut out = String::new();
            quote(arg, true, &mut out);
            out
        };
        assert_eq!(quoted(b""), "''");
        assert_eq!(quoted(b"-m"), "-m");
        assert_eq!(quoted(b"a b"), "'a b'");
        assert_eq!(quoted(b"$(x) `y`"), "'$(x) `y`'");
        assert_eq!(quoted(b"it's"), r"'it'\''s'");
        assert_eq!(quoted(b"\x1b[31m1"), r"$'\033[31m1'");
        assert_eq!(quoted(b"\xff\\'\n"), r"$'\377\\\'\012'");
        assert_eq!(quoted("é".as_bytes()), "'é'");
        let mut command = QemuCommand::new("/opt/a=b/qemu").unwrap();
        command.arg("a=b").unwrap();
        assert_eq!(command.to_string(), "'/opt/a=b/qemu' a=b");
    }

    #[test]
    fn a_refused_argument_leaves_the_command_as_it_was() {
        let mut command = QemuCommand::new("qemu").unwrap();
        let before = command.clone();
        assert!(matches!(command.arg("a\0"), Err(CommandError::Nul { offset: 1, .. })));
        assert!(matches!(command.arg("a".repeat(MAX_ARG)), Err(CommandError::TooLong { .. })));
        assert_eq!(command, before);
        command.arg("a".repeat(MAX_ARG - 1)).unwrap();
    }
}
