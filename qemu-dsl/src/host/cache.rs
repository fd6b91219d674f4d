//! Answers of the probes, kept in a file for other processes.
//!
//! Whoever can write the file decides what a host is believed to be able to do: it counts only if it and its directory
//! belong to this user alone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;
use serde_json::{Value, json};

use super::basis::Basis;
use super::questions::ISOLATION;
use super::{Answers, QemuInfo, Verdict};
use crate::QemuVersion;
use crate::facts::Acceleration;

/// Far more than answers take: a list of all devices has 10 KB.
const MAX_SIZE: u64 = 1 << 20;

/// The directory for a user's caches: `qemu-dsl` in `$XDG_CACHE_HOME` or `~/.cache`. [`None`] where there is neither, or where it
/// is another user's. (XDG Base Directory Specification)
///
/// ```
/// use qemu_dsl::host::{ProbeOptions, cache_dir};
/// let mut options = ProbeOptions::new();
/// if let Some(dir) = cache_dir() {
///     options = options.cache(dir);
/// }
/// ```
pub fn cache_dir() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let (base, below) = match absolute("XDG_CACHE_HOME") {
        Some(dir) => (dir, "qemu-dsl"),
        None => (absolute("HOME")?, ".cache/qemu-dsl"),
    };
    let own = std::fs::metadata(&base).is_ok_and(|data| data.uid() == nix::unistd::geteuid().as_raw());
    own.then(|| base.join(below))
}

/// The answers that are kept for `basis` in `dir`, if there are such.
pub(super) fn read(dir: &Path, basis: &Basis) -> Option<Answers> {
    let open = |path: &Path, flags| OpenOptions::new().read(true).custom_flags(flags | libc::O_CLOEXEC).open(path).ok();
    let is_own = |file: &File| {
        file.metadata().is_ok_and(|data| {
            data.uid() == nix::unistd::geteuid().as_raw() && data.mode() & 0o022 == 0 && data.size() <= MAX_SIZE
        })
    };
    open(dir, libc::O_DIRECTORY).filter(is_own)?;
    // A link would lead to a file that this user owns for another purpose; a pipe would never end.
    let file = open(&path(dir, basis), libc::O_NOFOLLOW | libc::O_NONBLOCK).filter(is_own)?;
    let mut text = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut text).ok()?;
    let kept: Value = serde_json::from_slice(&text).ok()?;
    (kept["basis"] == basis.as_str()).then(|| answers(&kept))?
}

/// Keeps answers for the next process that asks.
///
/// # Errors
///
/// The file cannot be written. Nothing depends on it.
pub(super) fn write(dir: &Path, basis: &Basis, answers: &Answers) -> io::Result<()> {
    let Some(kept) = value(basis, answers) else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let path = path(dir, basis);
    // Whoever reads meanwhile finds the old answers or the new ones, and never half of them.
    let part = path.with_extension(format!("part-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| file.write_all(kept.to_string().as_bytes()))
        .and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// One file for each QEMU and question: a new basis takes the place of the old one.
fn path(dir: &Path, basis: &Basis) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    basis.subject().hash(&mut hasher);
    dir.join(format!("probe-{:016x}.json", hasher.finish()))
}

fn value(basis: &Basis, answers: &Answers) -> Option<Value> {
    let Answers { qemu: Ok(qemu), acceleration, acceleration_verdict, isolation, certain: true } = answers else {
        return None;
    };
    let QemuInfo { version, target, accelerators, machines, seccomp, io_uring, devices, data_dirs } = qemu;
    // A name that is no text is none that can be kept: then nothing is.
    let dirs = data_dirs.iter().map(|dir| dir.to_str()).collect::<Option<Vec<_>>>()?;
    let verdict = |Verdict { question, yes, reason }: &Verdict| json!([question, yes, reason]);
    Some(json!({
        "basis": basis.as_str(),
        "qemu": {
            "version": <[u16; 3]>::from(*version),
            "target": target,
            "accelerators": accelerators,
            "machines": machines,
            "seccomp": seccomp,
            "io_uring": io_uring,
            "devices": devices,
            "data_dirs": dirs,
        },
        "accel": acceleration.name(),
        "verdict": verdict(acceleration_verdict),
        "isolation": isolation.iter().map(verdict).collect::<Vec<_>>(),
    }))
}

fn answers(kept: &Value) -> Option<Answers> {
    let words = |value: &Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|word| Some(word.as_str()?.to_owned())).collect()
    };
    let verdict = |value: &Value, known: &[&'static str]| {
        let question = known.iter().find(|known| value[0] == **known)?;
        Some(Verdict { question, yes: value[1].as_bool()?, reason: value[2].as_str()?.to_owned() })
    };
    let acceleration = [Acceleration::Kvm, Acceleration::Hvf, Acceleration::Tcg];
    let qemu = &kept["qemu"];
    let number = |index: usize| u16::try_from(qemu["version"][index].as_u64()?).ok();
    Some(Answers {
        qemu: Ok(QemuInfo {
            version: QemuVersion::new(number(0)?, number(1)?, number(2)?),
            target: qemu["target"].as_str()?.to_owned(),
            accelerators: words(&qemu["accelerators"])?,
            machines: words(&qemu["machines"])?,
            seccomp: qemu["seccomp"].as_bool()?,
            io_uring: qemu["io_uring"].as_bool()?,
            devices: words(&qemu["devices"])?,
            data_dirs: words(&qemu["data_dirs"])?.into_iter().map(PathBuf::from).collect(),
        }),
        acceleration: acceleration.into_iter().find(|known| kept["accel"] == known.name())?,
        acceleration_verdict: verdict(&kept["verdict"], &["kvm", "hvf", "acceleration"])?,
        isolation: kept["isolation"].as_array()?.iter().map(|one| verdict(one, &ISOLATION)).collect::<Option<_>>()?,
        certain: true,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::host::{ProbeOptions, QemuProbeError};

    fn some() -> Answers {
        Answers {
            qemu: Ok(QemuInfo {
                version: QemuVersion::new(10, 0, 13),
                target: "x86_64".to_owned(),
                machines: vec!["microvm".to_owned(), "pc".to_owned()],
                data_dirs: vec!["/usr/share/qemu".into()],
                accelerators: vec!["kvm".to_owned(), "tcg".to_owned()],
                seccomp: true,
                io_uring: false,
                devices: vec!["edu".to_owned(), "virtio-blk-pci".to_owned()],
            }),
            acceleration: Acceleration::Tcg,
            acceleration_verdict: Verdict::no("kvm", "a \"reason\" with\na line"),
            isolation: vec![Verdict::yes("unshare", "it worked"), Verdict::no("bwrap", "there is no `bwrap`")],
            certain: true,
        }
    }

    /// A directory that is not there yet, and what it is in.
    struct Dir(PathBuf, #[allow(dead_code)] tempfile::TempDir);

    impl Dir {
        fn new() -> Self {
            let outside = tempfile::tempdir().unwrap();
            Self(outside.path().join("cache"), outside)
        }
    }

    fn basis(allow_network: bool) -> Basis {
        Basis::now(&ProbeOptions::new().allow_network(allow_network), "/bin/sh".as_ref())
    }

    #[test]
    fn answers_come_back_for_their_own_basis() {
        let dir = Dir::new();
        assert_eq!(read(&dir.0, &basis(true)), None);
        write(&dir.0, &basis(true), &some()).unwrap();
        assert_eq!(read(&dir.0, &basis(true)), Some(some()));
        assert_eq!(read(&dir.0, &basis(false)), None);
        assert_eq!(std::fs::metadata(&dir.0).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn what_may_be_another_next_time_is_not_kept() {
        let dir = Dir::new();
        let failed = QemuProbeError::Start { reason: "no".to_owned() };
        for answers in [Answers { qemu: Err(failed), ..some() }, Answers { certain: false, ..some() }] {
            write(&dir.0, &basis(true), &answers).unwrap();
            assert_eq!(read(&dir.0, &basis(true)), None);
        }
        assert!(!dir.0.exists());
    }

    #[test]
    fn what_others_could_have_written_does_not_count() {
        let dir = Dir::new();
        write(&dir.0, &basis(true), &some()).unwrap();
        let file = path(&dir.0, &basis(true));
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        for (path, wrong, right) in [(&file, 0o620, 0o600), (&file, 0o602, 0o600), (&dir.0, 0o770, 0o700)] {
            mode(path, wrong);
            assert_eq!(read(&dir.0, &basis(true)), None, "{path:?} {wrong:o}");
            mode(path, right);
            assert_eq!(read(&dir.0, &basis(true)), Some(some()));
        }
        std::fs::rename(&file, dir.0.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &file).unwrap();
        assert_eq!(read(&dir.0, &basis(true)), None, "a link");
    }

    #[test]
    fn a_damaged_file_does_not_count() {
        let dir = Dir::new();
        write(&dir.0, &basis(true), &some()).unwrap();
        let file = path(&dir.0, &basis(true));
        let whole = std::fs::read_to_string(&file).unwrap();
        for text in ["", "{}", &whole[..whole.len() / 2], &whole.replace("kvm", "xyz"), &whole.replace("tcg", "x")] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&dir.0, &basis(true)), None, "{text}");
        }
        write(&dir.0, &basis(true), &some()).unwrap();
        assert_eq!(read(&dir.0, &basis(true)), Some(some()));
    }
}
