//! Programs by their names, and why one cannot be started.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::files::{self, FileError};
use crate::isolation::ENVIRONMENT;
use crate::text::visible_line;

/// The absolute path of the file that a program's name stands for: itself, if it has a slash, or the first one of this name in
/// `PATH` that can be executed. Entries of `PATH` that are empty or relative are passed over: they would let whoever can write in
/// the working directory choose the program.
pub(crate) fn find(program: &OsStr) -> Option<PathBuf> {
    // Without it, as `execvp` does. (`man 3 exec`, `confstr(_CS_PATH)`)
    find_in(program, &std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into()))
}

/// The file that a program's name stands for in this process: itself, if it has a slash, or the first one of this name in `PATH` that
/// can be executed. Entries of `PATH` that are empty or relative are passed over.
///
/// ```
/// use qemu_dsl::host::find_program;
/// assert!(find_program("true".as_ref()).is_some_and(|path| path.is_absolute() && path.ends_with("true")));
/// assert_eq!(find_program("no-such-program".as_ref()), None);
/// ```
pub fn find_program(program: &OsStr) -> Option<PathBuf> {
    find(program)
}

/// The same in the `PATH` of a [jail](crate::isolation::Isolation::Jail), which is not this process's: where the two lead to different
/// files, a jail needs an absolute path.
///
/// ```
/// use qemu_dsl::host::find_program_in_jail;
/// assert!(find_program_in_jail("true".as_ref()).is_some());
/// ```
pub fn find_program_in_jail(program: &OsStr) -> Option<PathBuf> {
    let path = ENVIRONMENT.iter().find(|(key, _)| *key == "PATH").map_or("", |(_, path)| path);
    find_in(program, path.as_ref())
}

fn find_in(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return std::path::absolute(program).ok();
    }
    dirs(path).map(|dir| dir.join(program)).find(|path| is_program(path))
}

/// The absolute entries of a `PATH`. [`None`] if there are none: an empty one would stand for the working directory.
pub(crate) fn absolute(path: &OsStr) -> Option<OsString> {
    // Joining fails for entries with a colon only, and these have been split at colons.
    std::env::join_paths(dirs(path)).ok().filter(|path| !path.is_empty())
}

fn dirs(path: &OsStr) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(path).filter(|dir| dir.is_absolute())
}

/// Whether this is a file that this user may execute.
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// Why a program cannot be started: what is really there under its name, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CannotStart {
    program: OsString,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// Nothing in `PATH` has this name.
    NotInPath,
    /// There is no such file.
    Missing,
    /// It is no file.
    NotAFile(&'static str),
    /// It is a file that this user may not execute.
    NotExecutable,
    /// It is a script, and what is to run it is not there.
    Interpreter(PathBuf),
    /// It is a program, and what loads it is not there.
    Loader,
    /// It has no form that the system can start.
    Format,
    /// What the system says.
    System(String),
    /// The same, of something that may pass: no memory, no process, no descriptor left.
    Passing(String),
}

impl CannotStart {
    /// Finds out why starting `program` failed with `error`.
    pub(crate) fn new(program: &OsStr, error: &io::Error) -> Self {
        Self { program: program.to_owned(), why: why(program, error) }
    }

    /// Whether it will be so again.
    pub(crate) fn is_certain(&self) -> bool {
        !matches!(self.why, Why::Passing(_))
    }

    /// Whether there is nothing of this name, so that installing it would help.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.why, Why::NotInPath | Why::Missing)
    }
}

impl fmt::Display for CannotStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = visible_line(self.program.as_bytes());
        match &self.why {
            Why::NotInPath => write!(f, "there is no `{program}` in PATH"),
            Why::Missing => write!(f, "there is no `{program}`"),
            Why::NotAFile(what) => write!(f, "`{program}` is {what}, and no program"),
            Why::NotExecutable => write!(f, "`{program}` may not be executed by this user"),
            Why::Interpreter(path) => {
                let interpreter = visible_line(path.as_os_str().as_bytes());
                write!(f, "`{program}` is a script for `{interpreter}`, which cannot be started")
            }
            Why::Loader => write!(f, "`{program}` needs a dynamic loader that is not there: is it for another system?"),
            Why::Format => write!(f, "`{program}` has no form that this system can start"),
            Why::System(reason) | Why::Passing(reason) => write!(f, "`{program}` cannot be started: {reason}"),
        }
    }
}

fn why(program: &OsStr, error: &io::Error) -> Why {
    use nix::libc::{EACCES, EAGAIN, EMFILE, ENFILE, ENOENT, ENOEXEC, ENOMEM, ETXTBSY};
    let number = error.raw_os_error();
    if number == Some(EAGAIN) {
        let what =
            "no thread or process can be made: this user (`ulimit -u`) or a control group (`pids.max`) has no room";
        return Why::Passing(what.to_owned());
    }
    if matches!(number, Some(EMFILE | ENFILE | ENOMEM | ETXTBSY)) {
        return Why::Passing(error.to_string());
    }
    // A name that the system cannot even be asked about.
    if error.kind() == io::ErrorKind::InvalidInput {
        return Why::System(error.to_string());
    }
    let Some(path) = find(program) else { return Why::NotInPath };
    match files::open(&path) {
        Err(FileError::NotAFile { what, .. }) => return Why::NotAFile(what),
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Why::Missing,
        _ if !is_program(&path) => return Why::NotExecutable,
        _ => {}
    }
    match number {
        // It is there itself: so what is not there is what it is started with.
        Some(ENOENT | EACCES) => interpreter(&path).map_or(Why::Loader, Why::Interpreter),
        Some(ENOEXEC) => Why::Format,
        _ => Why::System(error.to_string()),
    }
}

/// What the first line of a script names. (`man 2 execve`)
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    files::open(path).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let name = line.split(u8::is_ascii_whitespace).next()?;
    Some(PathBuf::from(OsString::from_vec(name.to_owned())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, text: &[u8], mode: u32) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        assert!(find("sh".as_ref()).is_some_and(|path| path.is_absolute() && is_program(&path)));
        assert_eq!(find("/bin/sh".as_ref()), Some(PathBuf::from("/bin/sh")));
        assert!(find("./x".as_ref()).is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program".as_ref()), None);
        assert!(!is_program("/etc/passwd".as_ref()) && !is_program("/".as_ref()));
    }

    /// The working directory is this package's, and has a directory `src`.
    #[test]
    fn the_working_directory_chooses_no_program() {
        let dir = Dir::new();
        let program = dir.file("prog", b"#!/bin/sh\n", 0o755);
        let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
        let relative = format!("{up}{}", dir.0.path().display());
        assert!(Path::new(&relative).join("prog").is_file(), "{relative}");
        for path in [&relative, "", ".", ":", &format!(":{relative}:.")] {
            assert_eq!(find_in("prog".as_ref(), path.as_ref()), None, "{path}");
        }
        let path = format!(".:{relative}:{}", dir.0.path().display());
        assert_eq!(find_in("prog".as_ref(), path.as_ref()), Some(program));
        assert_eq!(absolute(path.as_ref()).as_deref(), Some(dir.0.path().as_os_str()));
        assert_eq!(absolute(".::x".as_ref()), None);
    }

    /// Each is what the system says when that is started.
    #[test]
    fn what_cannot_be_started_is_said() {
        let dir = Dir::new();
        let text = |path: &Path| {
            let error = std::process::Command::new(path).spawn().unwrap_err();
            CannotStart::new(path.as_os_str(), &error).to_string().replace(&format!("{}/", dir.0.path().display()), "")
        };
        assert_eq!(text(&dir.0.path().join("none")), "there is no `none`");
        assert_eq!(text(&dir.file("plain", b"#!/bin/sh\n", 0o644)), "`plain` may not be executed by this user");
        assert_eq!(
            text(&dir.file("script", b"#! /no/such/python -u\n", 0o755)),
            "`script` is a script for `/no/such/python`, which cannot be started"
        );
        let evil = dir.file("evil", b"#!/no\x1b[31m\n", 0o755);
        assert_eq!(text(&evil), "`evil` is a script for `/no^[[31m`, which cannot be started");
        assert_eq!(text(&dir.file("bytes", b"\0\0\0\0", 0o755)), "`bytes` has no form that this system can start");
        std::fs::create_dir(dir.0.path().join("dir")).unwrap();
        assert_eq!(text(&dir.0.path().join("dir")), "`dir` is a directory, and no program");
        let missing = CannotStart::new("no-such-program".as_ref(), &io::ErrorKind::NotFound.into());
        assert_eq!(missing.to_string(), "there is no `no-such-program` in PATH");
        assert!(missing.is_missing() && missing.is_certain());
        let full = CannotStart::new("sh".as_ref(), &io::Error::from_raw_os_error(nix::libc::EAGAIN));
        assert!(!full.is_certain() && !full.is_missing());
        assert!(full.to_string().starts_with("`sh` cannot be started: no thread or process can be made"), "{full}");
    }
}
