//! What is wrong with an image.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Role;
use crate::QemuCommand;
use crate::files::FileError;
use crate::text::visible_line;

/// Why an image is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It cannot be read, or is no file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A qcow2 image with a header that makes no sense.
    #[error("the qcow2 image `{}` has a bad header: {reason}", shown(path))]
    Header {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It names a file, and none is allowed.
    #[error("the image `{}` names another file, which the guest could read: its {role} {}; {}", shown(path), quoted(name), remedy(*role, path))]
    Names {
        /// The image.
        path: PathBuf,
        /// What the file is named for.
        role: Role,
        /// The name, as it stands in the image.
        name: OsString,
    },
    /// It names another backing file than the one that is allowed.
    #[error(
        "the image `{}` names {} as its backing file, and only `{}` is allowed: point it there with `{}`, if its blocks were made on that",
        shown(path),
        quoted(name),
        shown(base),
        rebase(base, path)
    )]
    AnotherBase {
        /// The image.
        path: PathBuf,
        /// The name, as it stands in the image.
        name: OsString,
        /// The one that is allowed.
        base: PathBuf,
    },
    /// It does not say that its backing file is raw or qcow2.
    #[error(
        "the image `{}` {}: set it with `{}`, FORMAT being `raw` or `qcow2`",
        shown(path),
        format.as_ref().map_or("does not say what format its backing file has, so QEMU would guess".to_owned(), |format| format!("says that its backing file is {}, and only raw and qcow2 are allowed", quoted(format))),
        rebase(base, path)
    )]
    BackingFormat {
        /// The image.
        path: PathBuf,
        /// Its backing file.
        base: PathBuf,
        /// What it says.
        format: Option<OsString>,
    },
}

/// A name from a stranger's file, on one line.
fn quoted(name: &OsString) -> String {
    if name.is_empty() {
        return "(without a name)".to_owned();
    }
    format!("`{}`", visible_line(name.as_bytes()))
}

/// A path, on one line.
fn shown(path: &Path) -> Cow<'_, str> {
    visible_line(path.as_os_str().as_bytes())
}

fn remedy(role: Role, path: &Path) -> String {
    match role {
        Role::Backing => {
            let command = pasted(&["rebase", "-b", ""], [&operand(path)]);
            format!("if you trust that file, make the image whole with `{command}`, or say that it may be named")
        }
        Role::Data => {
            let command = pasted(&["convert", "-O", "qcow2"], [&operand(path), Path::new("NEW")]);
            format!("if you trust that file, copy the image into one file with `{command}`")
        }
    }
}

/// What points an image to its base; FORMAT is the user's to say.
fn rebase(base: &Path, path: &Path) -> String {
    pasted(&["rebase", "-u", "-F", "FORMAT", "-b"], [base, &operand(path)])
}

/// A path in a place where a dash would begin an option.
fn operand(path: &Path) -> Cow<'_, Path> {
    if path.as_os_str().as_bytes().starts_with(b"-") { Path::new(".").join(path).into() } else { path.into() }
}

/// A command of `qemu-img` to paste into a shell, whatever is in its words, on one line.
fn pasted<const N: usize>(words: &[&str], paths: [&Path; N]) -> String {
    let mut command = QemuCommand::default();
    for word in ["qemu-img"].iter().chain(words).map(OsStr::new).chain(paths.map(Path::as_os_str)) {
        // A word that is in no command is in no shell's either: a path with a NUL leads nowhere.
        if command.arg(word).is_err() {
            return format!("qemu-img {}", words[0]);
        }
    }
    visible_line(command.to_string().as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_name_the_base_and_can_be_pasted() {
        let (path, base) = (PathBuf::from("/d/an overlay"), PathBuf::from("/b/it's"));
        let another = ImageError::AnotherBase { path: path.clone(), name: "/evil;rm".into(), base: base.clone() };
        let text = another.to_string();
        assert!(
            text.contains(r"point it there with `qemu-img rebase -u -F FORMAT -b '/b/it'\''s' '/d/an overlay'`, if"),
            "{text}"
        );
        assert_eq!(text.matches("/evil;rm").count(), 1, "{text}");
        let format = ImageError::BackingFormat { path: path.clone(), base, format: None }.to_string();
        assert!(format.contains(r"`qemu-img rebase -u -F FORMAT -b '/b/it'\''s' '/d/an overlay'`, FORMAT"), "{format}");
        let names = |role, path: &str| ImageError::Names { path: path.into(), role, name: "x".into() }.to_string();
        let backing = names(Role::Backing, "-o v");
        assert!(backing.contains("`qemu-img rebase -b '' './-o v'`"), "{backing}");
        let data = names(Role::Data, "$(reboot)");
        assert!(data.contains("`qemu-img convert -O qcow2 '$(reboot)' NEW`"), "{data}");
    }

    #[test]
    fn no_terminal_obeys_a_path() {
        let (path, name) = (PathBuf::from("/d/\u{1b}[31m\u{202e}\n"), OsString::from("\u{1b}c"));
        let errors = [
            ImageError::Header { path: path.clone(), reason: String::new() },
            ImageError::Names { path: path.clone(), role: Role::Backing, name: name.clone() },
            ImageError::Names { path: path.clone(), role: Role::Data, name: name.clone() },
            ImageError::AnotherBase { path: path.clone(), name: name.clone(), base: path.clone() },
            ImageError::BackingFormat { path: path.clone(), base: path, format: Some(name) },
        ];
        for error in errors {
            let text = error.to_string();
            assert!(!text.contains(['\u{1b}', '\n', '\u{202e}']), "{text:?}");
        }
    }
}
