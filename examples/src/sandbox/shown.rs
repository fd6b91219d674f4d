//! What a jail shows of the host beside what every one does: no more than the QEMU in it needs.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use qemu_dsl::host::find_program;

use crate::cli::Cli;
use crate::input::{Facts, InputError};

/// Other trees than those of files: a jail has its own, and the host's would be ways out of it.
const NO_FILES: [&str; 3] = ["/proc", "/dev", "/sys"];

/// Looks at what --jail-read names, before anything is started. A dry run may be for another host, whose files are not here.
pub(crate) fn check(cli: &Cli) -> Result<(), InputError> {
    let is_dry = cli.dry_run || cli.explain || cli.print_facts;
    for path in &cli.jail_read {
        let bad = |reason: String| InputError::JailRead { path: path.display().to_string(), reason };
        let absolute = std::path::absolute(path).map_err(|error| bad(error.to_string()))?;
        let real = match std::fs::canonicalize(&absolute) {
            Ok(real) => real,
            Err(_) if is_dry => without_dots(&absolute),
            Err(error) => return Err(bad(format!("it cannot be read: {error}"))),
        };
        for path in [&without_dots(&absolute), &real] {
            if path.parent().is_none() {
                return Err(bad("a jail that shows / is none: name what QEMU needs".to_owned()));
            }
            if let Some(tree) = NO_FILES.iter().find(|tree| path.starts_with(tree)) {
                return Err(bad(format!("a jail has a {tree} of its own, and the host's leads out of it")));
            }
        }
    }
    Ok(())
}

/// The path without `.` and `..`, as if there were no links.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// What QEMU itself needs: its file or its tree, and where it looks for firmware.
pub(crate) fn of_qemu(cli: &Cli, facts: &Facts) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let homes: Vec<PathBuf> =
        home.iter().cloned().chain(home.as_ref().and_then(|home| home.canonicalize().ok())).collect();
    let is_own = |dir: &Path| is_own(dir, &homes);
    let mut shown = Vec::new();
    if let Some(program) = program(cli, facts) {
        // What a link leads to is another file, with a tree of its own.
        for path in [Some(program.clone()), program.canonicalize().ok()].into_iter().flatten() {
            let prefix = path.parent().filter(|dir| dir.ends_with("bin")).and_then(Path::parent);
            let tree = prefix.filter(|prefix| is_own(prefix)).map(Path::to_owned);
            shown.push(tree.unwrap_or(path));
        }
    }
    if let Some(Ok(info)) = facts.probed.as_ref().map(|probed| &probed.qemu) {
        shown.extend(info.data_dirs.iter().filter(|dir| dir.is_dir() && is_own(dir)).cloned());
    }
    shown
}

/// The file of the QEMU that was probed, or that was named by a path.
fn program(cli: &Cli, facts: &Facts) -> Option<PathBuf> {
    let name = match &facts.probed {
        Some(probed) => probed.binary.as_os_str(),
        None => cli.qemu.as_deref().filter(|qemu| is_path(qemu))?,
    };
    find_program(name)
}

/// Whether it says where a program is, instead of its name.
pub(crate) fn is_path(program: &OsStr) -> bool {
    program.as_encoded_bytes().contains(&b'/')
}

/// Whether a directory is a program's own, to all that is known: neither it nor what a link in it leads to is a directory where much
/// else lives, which the guest's QEMU has no business with.
fn is_own(dir: &Path, homes: &[PathBuf]) -> bool {
    let real = dir.canonicalize().unwrap_or_else(|_| without_dots(dir));
    [&without_dots(dir), &real].into_iter().all(|dir| {
        // `/`, and what stands in it: /home, /tmp, /opt.
        let is_high = dir.components().count() <= 2;
        let holds_home = homes.iter().any(|home| home.starts_with(dir));
        // ~/.local and its like. Others' homes are in /home, too.
        let is_home = |dir: &Path| homes.iter().any(|home| home == dir) || dir.parent() == Some(Path::new("/home"));
        let is_dotted = dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_hidden = is_dotted && dir.parent().is_some_and(is_home);
        let is_other = NO_FILES.iter().any(|tree| dir.starts_with(tree));
        !is_high && !holds_home && !is_home(dir) && !is_hidden && !is_other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_program_s_own() {
        let homes = [PathBuf::from("/users/me/home")];
        let own = |dir: &str| is_own(dir.as_ref(), &homes);
        for dir in
            ["/opt/qemu", "/users/me/home/qemu", "/users/me/home/.local/qemu", "/home/you/qemu", "/a/../opt/qemu"]
        {
            assert!(own(dir), "{dir}");
        }
        let not = [
            "/",
            "/tmp",
            "/opt",
            "/home",
            "/users",
            "/users/me",
            "/users/me/home",
            "/users/me/home/.local",
            "/home/you",
            "/home/you/.local",
            "/opt/..",
            "/opt/qemu/..",
            "/users/me/home/qemu/..",
            "/proc/self",
            "/dev/shm",
            "/sys/fs",
        ];
        for dir in not {
            assert!(!own(dir), "{dir}");
        }
    }
}
