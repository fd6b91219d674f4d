//! The disk that a file is on.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::tree;

/// The numbers of the disk that a file is on, as `io.max` wants them: of the whole disk, not of its partition.
pub(super) fn of(path: &Path) -> Option<String> {
    let device = path.metadata().ok()?.dev();
    let own = format!("{}:{}", nix::libc::major(device), nix::libc::minor(device));
    let entry = std::fs::canonicalize(format!("/sys/dev/block/{own}")).ok()?;
    if !entry.join("partition").exists() {
        return Some(own);
    }
    Some(tree::read(&entry.parent()?.join("dev")).trim().to_owned()).filter(|numbers| !numbers.is_empty())
}
