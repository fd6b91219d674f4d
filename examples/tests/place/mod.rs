//! A place of its own for each run of the program.
#![allow(dead_code)] // each test file uses a part of it

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) const FACTS: &str = r#"{"arch":"x86_64","os":"linux","accel":"kvm","tsc_deadline":true,"io_uring":true,"unshare":true,"qemu_version":[9,2,0],"seccomp":true}"#;
pub(crate) const TCG: &str = r#"{"arch":"x86_64","os":"linux","accel":"tcg","tsc_deadline":false,"io_uring":false,"unshare":false,"qemu_version":null,"seccomp":false}"#;

pub(crate) fn guest() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guest");
    let dir = dir.canonicalize().unwrap_or_else(|error| panic!("{}: {error}; run scripts/setup guest", dir.display()));
    assert!(dir.join("vmlinuz-x86_64").is_file(), "no guest: run scripts/setup guest");
    dir
}

/// A place of its own for each run: temporary files go there, and must be gone at the end.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("sb").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        Self { dir }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        command.env("TMPDIR", self.dir.path().join("tmp")).env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", self.dir.path());
        command
    }

    /// The program behind other words, with the same environment.
    pub(crate) fn behind(&self, words: &[&str]) -> Command {
        let own = self.command();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(own.get_program()).stdin(Stdio::null());
        for (key, value) in own.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command
    }

    pub(crate) fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        let output = self.command().args(args).output().unwrap();
        self.assert_nothing_is_left();
        output
    }

    pub(crate) fn assert_nothing_is_left(&self) {
        let left: Vec<_> =
            std::fs::read_dir(self.dir.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, Vec::<PathBuf>::new(), "temporary files are left");
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs a dry run with these facts, and parses the JSON.
    pub(crate) fn argv(&self, facts: &str, args: &[&str]) -> Vec<String> {
        let facts = self.file("facts.json", facts);
        let fixed = ["--dry-run", "--format", "json", "--facts", facts.to_str().unwrap()];
        let output = self.run(fixed.iter().chain(args));
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The same while another one runs, which has files of its own.
    pub(crate) fn refused_beside(&self, args: &[&OsStr]) -> String {
        let output = self.command().args(args).output().unwrap();
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        stderr
    }

    /// Runs what must fail with status 2; returns what it says.
    pub(crate) fn refused(&self, args: &[&OsStr]) -> String {
        let output = self.run(args);
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert_eq!(output.stdout, b"", "{args:?}");
        stderr
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn os<'a>(args: &'a [&'a str]) -> Vec<&'a OsStr> {
    args.iter().map(OsStr::new).collect()
}

/// A stand-in for QEMU that starts, tells its process id, and does nothing more.
pub(crate) fn silent_qemu(place: &Place) -> (PathBuf, PathBuf) {
    let pid = place.dir.path().join("pid");
    let qemu =
        place.file("qemu", format!("#!/bin/sh\necho $$ >{0}.part\nmv {0}.part {0}\nexec sleep 600\n", pid.display()));
    std::fs::set_permissions(&qemu, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    (qemu, pid)
}

/// Waits for something that another process does; there is no event to wait for across processes that are not related.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::yield_now();
    }
}

/// The guest with the minimal kernel, which boots in a second.
pub(crate) fn minimal() -> PathBuf {
    let dir = guest().parent().unwrap().join("guest-minimal");
    assert!(dir.join("vmlinuz-x86_64").is_file(), "no minimal guest: run scripts/setup kernel");
    dir
}

/// What boots such a guest.
pub(crate) fn boots(kernel_dir: &Path) -> Vec<&OsStr> {
    vec![OsStr::new("--emulate"), "--fast".as_ref(), "--kernel-dir".as_ref(), kernel_dir.as_os_str()]
}

/// An entry of a cpio archive, as the kernel wants it. (Documentation/driver-api/early-userspace/buffer-format.rst)
fn cpio_entry(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let fields = [
        0,
        mode,
        0,
        0,
        1,
        0,
        u32::try_from(content.len()).unwrap(),
        0,
        0,
        0,
        0,
        u32::try_from(name.len() + 1).unwrap(),
        0,
    ];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    for part in [format!("{name}\0").as_bytes(), content] {
        archive.extend_from_slice(part);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
}

impl Place {
    /// A kernel directory whose guest has another init: the usual one with `from` replaced by `to`.
    pub(crate) fn guest_with(&self, from: &str, to: &str) -> PathBuf {
        let dir = self.dir.path().join("guest");
        std::fs::create_dir(&dir).unwrap();
        for name in ["config-x86_64", "vmlinuz-x86_64", "vmlinux-x86_64", "rootfs-x86_64.qcow2"] {
            std::fs::copy(minimal().join(name), dir.join(name)).unwrap();
        }
        let init = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/init")).unwrap();
        assert!(init.contains(from), "{from}");
        // A further archive replaces files of the first.
        let mut initramfs = std::fs::read(minimal().join("initramfs-x86_64")).unwrap();
        initramfs.resize(initramfs.len().next_multiple_of(4), 0);
        cpio_entry(&mut initramfs, "init", 0o100_755, init.replace(from, to).as_bytes());
        cpio_entry(&mut initramfs, "TRAILER!!!", 0, b"");
        std::fs::write(dir.join("initramfs-x86_64"), initramfs).unwrap();
        dir
    }

    /// An executable script.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name, text);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }
}
