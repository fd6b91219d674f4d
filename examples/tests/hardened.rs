//! The program against hostile guests, hostile files, impatient users and full disks.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::Pid;

mod place;

use place::{FACTS, Place, TCG, boots, eventually, minimal, os, silent_qemu, stderr};

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Starts the program with a stand-in for QEMU that says nothing, and waits until it runs.
fn running(place: &Place) -> Child {
    let facts = place.file("facts.json", TCG);
    let (qemu, pid) = silent_qemu(place);
    let mut command = place.command();
    command.args([OsStr::new("--facts"), facts.as_ref(), "--kernel-dir".as_ref(), minimal().as_ref()]);
    let child = command.args([OsStr::new("--qemu"), qemu.as_ref()]).stderr(Stdio::null()).spawn().unwrap();
    eventually("the stand-in starts", || pid.is_file());
    child
}

#[test]
fn each_signal_ends_the_machine_and_leaves_nothing() {
    for (number, status) in [(Signal::SIGHUP, 129), (Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let place = Place::new();
        let mut child = running(&place);
        signal(&child, number);
        assert_eq!(child.wait().unwrap().code(), Some(status));
        place.assert_nothing_is_left();
    }
}

/// Nobody can clean up after SIGKILL but the next one.
#[test]
fn what_a_killed_program_leaves_the_next_one_removes() {
    let place = Place::new();
    let mut child = running(&place);
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let left = || std::fs::read_dir(place.dir.path().join("tmp")).unwrap().count();
    assert_eq!(left(), 1);
    let facts = place.dir.path().join("facts.json");
    let mut command = place.command();
    command.args([OsStr::new("--facts"), facts.as_ref(), "--qemu".as_ref(), "/bin/false".as_ref()]);
    let output = command.args([OsStr::new("--kernel-dir"), minimal().as_ref()]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(left(), 0);
}

#[test]
fn a_signal_interrupts_the_making_of_the_disk() {
    let place = Place::new();
    let bin = place.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let started = place.dir.path().join("started");
    place.script("bin/qemu-img", &format!("#!/bin/sh\n: >{}\nsleep 600\n", started.display()));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for (number, status) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let mut command = place.command();
        command.args(boots(&minimal())).env("PATH", &path).stderr(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        eventually("qemu-img runs", || started.is_file());
        let asked = Instant::now();
        signal(&child, number);
        assert_eq!(child.wait().unwrap().code(), Some(status));
        assert!(asked.elapsed() < Duration::from_secs(5));
        place.assert_nothing_is_left();
        std::fs::remove_file(&started).unwrap();
    }
}

/// A copy of the minimal guest's files, with one of them replaced.
fn copied(place: &Place, without: &str) -> PathBuf {
    let dir = place.dir.path().join("k");
    std::fs::create_dir_all(&dir).unwrap();
    for name in ["config-x86_64", "vmlinuz-x86_64", "initramfs-x86_64", "rootfs-x86_64.qcow2"] {
        let _ = std::fs::remove_file(dir.join(name));
        if name != without {
            std::fs::copy(minimal().join(name), dir.join(name)).unwrap();
        }
    }
    dir
}

#[test]
fn files_that_are_no_files_are_told_at_once() {
    let place = Place::new();
    for name in ["vmlinuz-x86_64", "initramfs-x86_64", "rootfs-x86_64.qcow2"] {
        let dir = copied(&place, name);
        mknod(&dir.join(name), SFlag::S_IFIFO, Mode::S_IRUSR | Mode::S_IWUSR, 0).unwrap();
        let asked = Instant::now();
        let said = place.refused(&[OsStr::new("--emulate"), "--kernel-dir".as_ref(), dir.as_ref()]);
        assert!(said.contains("is a FIFO, and a file is needed"), "{said}");
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    }
    let dir = copied(&place, "vmlinuz-x86_64");
    for (content, expected) in
        [(&b""[..], "is empty"), (b"text", "no kernel"), (b"\x1f\x8b\x08\0", "compressed with gzip")]
    {
        std::fs::write(dir.join("vmlinuz-x86_64"), content).unwrap();
        let said = place.refused(&[OsStr::new("--emulate"), "--kernel-dir".as_ref(), dir.as_ref()]);
        assert!(said.contains(expected), "{said}");
    }
}

/// The plan switches QEMU's own lock of the disk off: so two on one directory would ruin it.
#[test]
fn a_directory_has_one_owner_who_is_named() {
    let place = Place::new();
    let dir = place.dir.path().join("d");
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy(minimal().join("rootfs-x86_64.qcow2"), dir.join("overlay.qcow2")).unwrap();
    let facts = place.file("facts.json", TCG);
    let (qemu, pid) = silent_qemu(&place);
    let args =
        [OsStr::new("--facts"), facts.as_ref(), "--qemu".as_ref(), qemu.as_ref(), "--dir".as_ref(), dir.as_ref()];
    let mut first = place.command();
    let mut first =
        first.args(args).args([OsStr::new("--kernel-dir"), minimal().as_ref()]).stderr(Stdio::null()).spawn().unwrap();
    eventually("the stand-in starts", || pid.is_file());
    std::fs::write(dir.join("cmd.sock"), "the first one's").unwrap();
    let mut all = args.to_vec();
    let minimal = minimal();
    all.extend([OsStr::new("--kernel-dir"), minimal.as_ref()]);
    let said = place.refused_beside(&all);
    assert!(said.contains(&format!("is in use by process {}", first.id())), "{said}");
    assert_eq!(
        std::fs::read(dir.join("cmd.sock")).unwrap(),
        b"the first one's",
        "nothing of the first one's is touched"
    );
    signal(&first, Signal::SIGTERM);
    first.wait().unwrap();
}

/// Images of others may name any file of the host, which the guest would read.
#[test]
fn a_disk_that_names_another_file_is_refused() {
    let place = Place::new();
    let dir = place.dir.path().join("d");
    std::fs::create_dir(&dir).unwrap();
    let overlay = dir.join("overlay.qcow2");
    let base = minimal().join("rootfs-x86_64.qcow2");
    let make = |backing: &Path, format: &str| {
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2", "-F", format, "-b"]).arg(backing).arg(&overlay);
        assert!(command.status().unwrap().success());
    };
    let minimal = minimal();
    let args = |more: &[&OsStr]| -> Vec<std::ffi::OsString> {
        let mut args = boots(&minimal);
        args.extend([OsStr::new("--dir"), dir.as_ref()]);
        args.extend(more);
        args.into_iter().map(ToOwned::to_owned).collect()
    };
    make(Path::new("/etc/passwd"), "raw");
    let refused = |more: &[&OsStr]| {
        let args = args(more);
        place.refused(&args.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    };
    let said = refused(&[]);
    assert!(said.contains("/etc/passwd") && said.contains("--base FILE"), "{said}");
    let said = refused(&[OsStr::new("--base"), base.as_ref()]);
    assert!(said.contains("/etc/passwd") && said.contains("is allowed"), "{said}");
    make(&base, "qcow2");
    let said = refused(&[]);
    assert!(said.contains("names another file"), "{said}");
    // The base itself has to stand alone.
    let middle = place.dir.path().join("middle.qcow2");
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd"]).arg(&middle);
    assert!(command.status().unwrap().success());
    let said = refused(&[OsStr::new("--base"), middle.as_ref()]);
    assert!(said.contains("/etc/passwd"), "{said}");
    let output = place.run(args(&[OsStr::new("--base"), base.as_ref()]));
    assert!(output.status.success(), "{}", stderr(&output));
}

/// What a guest says is shown, and no terminal obeys it.
#[test]
fn a_guest_does_not_write_to_the_terminal() {
    let place = Place::new();
    let evil = "printf 'error 1\\033]0;TITLE\\007\\302\\2331mRED\\342\\200\\256\\377\\n'";
    let dir = place.guest_with("echo \"pong $uptime\" >&3", &format!("{evil} >/dev/console; {evil} >&3"));
    let output = place.run(boots(&dir));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for said in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(said).expect("what is shown is text");
        assert!(text.contains("TITLE"), "{text}");
        let bad = text
            .chars()
            .find(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(bad, None, "{text:?}");
    }
}

#[test]
fn a_guest_that_panics_is_said_to_have() {
    let place = Place::new();
    let dir = place.guest_with("echo ready >&4", "exit 1");
    let output = place.run(boots(&dir));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("the guest's kernel panicked"), "{}", stderr(&output));
}

/// Neither QEMU nor what is around it gets this program's environment.
#[test]
fn secrets_stay() {
    for isolation in ["jail", "namespaces", "none"] {
        let place = Place::new();
        let mut command = place.command();
        command.args(boots(&minimal())).args(["--isolation", isolation, "--vm-id", "secretive"]);
        command.env("API_TOKEN", "hunter2").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut console = BufReader::new(child.stdout.take().unwrap());
        // What it shows first, QEMU has written.
        console.read_until(b'\n', &mut Vec::new()).unwrap();
        let own = child.id().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let (cmdline, environ) =
                (std::fs::read(entry.path().join("cmdline")).ok()?, std::fs::read(entry.path().join("environ")).ok()?);
            let is_its = contains(&cmdline, b"guest=secretive") && entry.file_name().to_str()? != own;
            is_its.then_some(environ)
        });
        let environments: Vec<Vec<u8>> = processes.collect();
        assert!(!environments.is_empty(), "QEMU runs");
        for environment in environments {
            assert!(!contains(&environment, b"hunter2"), "{isolation}: {}", String::from_utf8_lossy(&environment));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[test]
fn outputs_that_cannot_be_written_end_nothing() {
    let place = Place::new();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command().args(boots(&minimal())).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = place.command().args(boots(&minimal())).stdout(full()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    place.assert_nothing_is_left();
}

/// As under `nohup`-like tools that do not want to hear of children.
#[test]
fn a_parent_that_ignores_children_changes_nothing() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_sandbox");
    let minimal = minimal();
    let mut command = Command::new("env");
    command.arg("--ignore-signal=CHLD").arg(program).args(boots(&minimal));
    command
        .env("TMPDIR", place.dir.path().join("tmp"))
        .env_remove("XDG_RUNTIME_DIR")
        .env("XDG_CACHE_HOME", place.dir.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("exit status: 0"), "{}", stderr(&output));
}

#[test]
fn the_runtime_directory_of_another_is_passed_over() {
    let place = Place::new();
    let facts = place.file("facts.json", TCG);
    let theirs = place.dir.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::set_permissions(&theirs, PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = place.command();
    command.env("XDG_RUNTIME_DIR", &theirs).args([OsStr::new("--facts"), facts.as_ref()]);
    let output = command.args(["--qemu", "/bin/false", "--kernel-dir"]).arg(minimal()).output().unwrap();
    let said = stderr(&output);
    assert!(said.contains("XDG_RUNTIME_DIR") && said.contains("can be written by others"), "{said}");
    assert_eq!(std::fs::read_dir(&theirs).unwrap().count(), 0);
}

#[test]
fn what_holds_qemu_is_said() {
    let place = Place::new();
    let minimal = minimal();
    for level in ["jail", "namespaces", "none"] {
        let mut args = boots(&minimal);
        args.extend(["--isolation", level].map(OsStr::new));
        let output = place.run(args);
        let said = stderr(&output);
        assert!(output.status.success() && said.contains(&format!("isolation       {level}")), "{said}");
        assert_eq!(said.contains("This host has a jail, which was not asked for"), level != "jail", "{said}");
    }
    let facts = place.file("facts.json", FACTS);
    let said = place.refused(&[
        OsStr::new("--dry-run"),
        "--facts".as_ref(),
        facts.as_ref(),
        "--require-isolation".as_ref(),
        "jail".as_ref(),
    ]);
    assert!(said.contains("`jail` is required") && said.contains("apt-get install bubblewrap"), "{said}");
    let said = place.refused(&os(&["--isolation", "prison"]));
    assert!(said.contains("there are none, namespaces and jail"), "{said}");
    let jail = FACTS.replace('}', r#","bwrap":true}"#);
    let argv = place.argv(&jail, &["--kernel-dir", "target/guest"]);
    assert_eq!(argv[0], "bwrap");
    let kernel = argv.iter().find(|arg| arg.ends_with("vmlinuz-x86_64")).unwrap();
    assert!(kernel.starts_with('/'), "a jail has directories of its own: {kernel}");
    let explained = place.run(["--explain"]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains("What holds QEMU: jail."), "{explained:?}");
}

/// A sandbox whose host has no space left is not silent about it.
#[test]
fn a_full_disk_is_told() {
    if !nix::unistd::geteuid().is_root() {
        return; // only root mounts
    }
    let place = Place::new();
    let small = place.dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |size: &str| {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "small"]).arg(&small);
        assert!(command.status().unwrap().success());
    };
    // Zeros would be no writes: the disk has `detect-zeroes`.
    let write = "$busybox dd if=/dev/urandom of=/root/file bs=64k count=32 conv=fsync; echo ready >&4";
    let guest = place.guest_with("echo ready >&4", write);
    let run = || place.command().env("TMPDIR", &small).args(boots(&guest)).output().unwrap();
    mount("64k");
    let output = run();
    let none = std::fs::read_dir(&small).unwrap().count();
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    assert_eq!((output.status.code(), none), (Some(2), 0), "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));
    mount("512k");
    let output = run();
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(stderr(&output).contains("the host's disk was full"), "{}\n{console}", stderr(&output));
}

/// A guest that floods its console fills nobody's disk.
#[test]
fn a_console_has_an_end() {
    let place = Place::new();
    // A stand-in for QEMU: a guest under emulation takes minutes to say so much.
    let qemu = place.script("qemu", "#!/bin/sh\nhead -c 20000000 /dev/zero | tr '\\0' x\nexec sleep 600\n");
    let facts = place.file("facts.json", TCG);
    let mut command = place.command();
    command.args([OsStr::new("--facts"), facts.as_ref(), "--qemu".as_ref(), qemu.as_ref()]);
    command.args([OsStr::new("--kernel-dir"), minimal().as_ref()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut console = child.stdout.take().unwrap();
    let console = std::thread::spawn(move || std::io::copy(&mut console, &mut std::io::sink()).unwrap());
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("the console has said 16 MiB")), "and it goes on");
    signal(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(console.join().unwrap(), 16 << 20);
}

/// The overlay names its base by the file, and the jail shows that, also where links lead to it.
#[test]
fn links_lead_to_the_same_base_in_a_jail() {
    let place = Place::new();
    let link = place.dir.path().join("linked");
    std::os::unix::fs::symlink(minimal(), &link).unwrap();
    let mut args = boots(&link);
    args.extend(["--isolation", "jail"].map(OsStr::new));
    let output = place.run(args);
    assert!(output.status.success(), "{}", stderr(&output));
}
