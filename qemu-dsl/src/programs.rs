//! Programs by their names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// The absolute path of the file that a program's name stands for: itself, if it has a slash, or the first one of this name in
/// `PATH` that can be executed.
pub(crate) fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return std::path::absolute(program).ok();
    }
    // Without it, as `execvp` does. (`man 3 exec`, `confstr(_CS_PATH)`)
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| is_program(path))?;
    std::path::absolute(found).ok()
}

/// Whether this is a file that this user may execute.
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        assert!(find("sh".as_ref()).is_some_and(|path| path.is_absolute() && is_program(&path)));
        assert_eq!(find("/bin/sh".as_ref()), Some(PathBuf::from("/bin/sh")));
        assert!(find("./x".as_ref()).is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program".as_ref()), None);
        assert!(!is_program("/etc/passwd".as_ref()) && !is_program("/".as_ref()));
    }
}
