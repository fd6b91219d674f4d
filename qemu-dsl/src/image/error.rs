//! What is wrong with an image.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Role;
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
    #[error("the qcow2 image `{}` has a bad header: {reason}", path.display())]
    Header {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It names a file, and none is allowed.
    #[error("the image `{}` names another file, which the guest could read: its {role} {}; {}", path.display(), quoted(name), remedy(*role, path))]
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
        "the image `{}` names {} as its backing file, and only `{}` is allowed: point it there with `qemu-img rebase -u -F FORMAT -b {1} {0}`, if its blocks were made on that",
        path.display(), quoted(name), base.display()
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
        "the image `{}` {}: set it with `qemu-img rebase -u -F FORMAT -b {} {0}`, FORMAT being `raw` or `qcow2`",
        path.display(),
        format.as_ref().map_or("does not say what format its backing file has, so QEMU would guess".to_owned(), |format| format!("says that its backing file is {}, and only raw and qcow2 are allowed", quoted(format))),
        base.display()
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

fn remedy(role: Role, path: &Path) -> String {
    let path = path.display();
    match role {
        Role::Backing => format!(
            "if you trust that file, make the image whole with `qemu-img rebase -b \"\" {path}`, or say that it may be named"
        ),
        Role::Data => {
            format!("if you trust that file, copy the image into one file with `qemu-img convert -O qcow2 {path} NEW`")
        }
    }
}
