//! The program as its users meet it: its options, its outputs, its exit statuses, and what it leaves behind.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

mod place;

use place::{FACTS, Place, TCG, eventually, guest, os, silent_qemu, stderr};

#[test]
fn a_dry_run_prints_the_argv_and_needs_no_file() {
    let place = Place::new();
    let argv = place.argv(FACTS, &["--dir", "/nonexistent/d", "--kernel-dir", "/nonexistent/k", "--vm-id", "id-1"]);
    assert_eq!(argv[..2], ["unshare", "--pid"]);
    assert!(argv.contains(&"qemu-system-x86_64".to_owned()));
    assert!(argv.contains(&"guest=id-1".to_owned()) && argv.contains(&"/nonexistent/k/vmlinuz-x86_64".to_owned()));
    let qmp = argv.iter().position(|arg| arg == "-qmp").unwrap();
    assert_eq!(argv[qmp + 1], "unix:/nonexistent/d/qmp.sock,server=on,wait=off");
    let emulated = place.argv(FACTS, &["--emulate"]);
    assert!(emulated.iter().any(|arg| arg.starts_with("pc,")), "{emulated:?}");
}

#[test]
fn a_shell_gets_the_same_argv() {
    let place = Place::new();
    let odd = "/tmp/a 'b' $(c) `d` \"e\" \\f,g=h\n\u{e9}";
    let json = place.argv(FACTS, &["--dir", odd]);
    let facts = place.file("facts.json", FACTS);
    let output =
        place.run([OsStr::new("--dry-run"), "--facts".as_ref(), facts.as_ref(), "--dir".as_ref(), odd.as_ref()]);
    let pasted = format!("printf '%s\\0' {}", String::from_utf8(output.stdout).unwrap());
    let shell = Command::new("bash").args(["-c", &pasted]).output().unwrap();
    let words: Vec<String> =
        shell.stdout.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
    assert_eq!(words[..words.len() - 1], json);
}

#[test]
fn the_explanation_names_every_option_and_reason() {
    let place = Place::new();
    let facts = place.file("facts.json", FACTS);
    let output = place.run([OsStr::new("--explain"), "--facts".as_ref(), facts.as_ref(), "--allow-network".as_ref()]);
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in
        ["-machine microvm", "TSC deadline timer replaces", "decided by: seccomp true", "`reconnect-ms` since 9.2"]
    {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
}

#[test]
fn printed_facts_can_be_read_again() {
    let place = Place::new();
    let output = place.run(["--print-facts"]);
    assert!(output.status.success());
    let facts = String::from_utf8(output.stdout).unwrap();
    let keys: Vec<&str> = facts
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|word| !["x86_64", "aarch64", "linux", "macos", "kvm", "hvf", "tcg"].contains(word))
        .collect();
    let always = ["arch", "os", "accel", "tsc_deadline", "io_uring", "unshare", "qemu_version", "seccomp"];
    let (always_there, newer) = keys.split_at(always.len());
    assert_eq!(always_there, always);
    assert!(newer.iter().all(|key| ["unshare_user", "bwrap", "root"].contains(key)), "only what is true: {newer:?}");
    place.argv(&facts, &[]);
    let again = place.file("facts.json", &facts);
    assert_eq!(place.run([OsStr::new("--print-facts"), "--facts".as_ref(), again.as_ref()]).stdout, facts.as_bytes());
}

#[test]
fn bad_facts_are_refused() {
    let place = Place::new();
    for (content, expected) in [
        ("", "is not what --print-facts prints"),
        ("{}", "missing field `arch`"),
        (&FACTS.replace("kvm", "xen"), "unknown variant `xen`"),
        (&FACTS.replace("true", "1"), "invalid type"),
        (&FACTS.replace("[9,2,0]", "[9,2]"), "invalid length 2"),
        (&FACTS.replace("[9,2,0]", "[9,2,-1]"), "invalid value"),
        (&FACTS.replace("[9,2,0]", "[0,0,0]"), "versions start at 0.1"),
        (&FACTS.replace('}', ",\"extra\":1}"), "unknown field `extra`"),
        (&FACTS.replace("linux", "macos"), "KVM is Linux's and HVF is macOS's"),
        (&FACTS.replace("linux", "windows"), "unknown variant `windows`"),
    ] {
        let facts = place.file("facts.json", content);
        let said = place.refused(&[OsStr::new("--dry-run"), "--facts".as_ref(), facts.as_ref()]);
        assert!(said.contains(expected) && said.contains("facts.json"), "{content}: {said}");
    }
    let said = place.refused(&os(&["--dry-run", "--facts", "/nonexistent/f"]));
    assert!(said.contains("/nonexistent/f"), "{said}");
}

#[test]
fn bad_options_are_refused() {
    let place = Place::new();
    let long = format!("/{}", "x".repeat(100));
    for (args, expected) in [
        (vec!["--memory", "127"], "128 to 2048"),
        (vec!["--memory", "-1"], "invalid value"),
        (vec!["--memory", "lots"], "invalid value"),
        (vec!["--expose", "0:80"], "INTERNAL:EXTERNAL"),
        (vec!["--expose", "80"], "INTERNAL:EXTERNAL"),
        (vec!["--expose", "1:80", "--expose", "2:80"], "port 80 is exposed twice"),
        (vec!["--vm-id", "a,b"], "`a,b` cannot be a VM id"),
        (vec!["--vm-id", ""], "cannot be a VM id"),
        (vec!["--user", "#0"], "no user name"),
        (vec!["--dir", &long], "the kernel allows 107"),
        (vec!["--qemu", ""], "QEMU binary is empty"),
        (vec!["--timeout", "0"], "invalid value"),
        (vec!["--no-such-option"], "unexpected argument"),
    ] {
        let facts = place.file("facts.json", FACTS);
        let mut all = vec![OsStr::new("--dry-run"), "--facts".as_ref(), facts.as_ref()];
        all.extend(os(&args));
        let said = place.refused(&all);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    let id = OsStr::from_bytes(b"a\xff");
    assert!(place.refused(&["--vm-id".as_ref(), id]).contains("UTF-8"));
    let dir = OsStr::from_bytes(b"/tmp/\xff");
    let said = place.refused(&["--dry-run".as_ref(), "--format".as_ref(), "json".as_ref(), "--dir".as_ref(), dir]);
    assert!(said.contains("not UTF-8"), "{said}");
}

#[test]
fn missing_files_are_named_with_the_remedy() {
    let place = Place::new();
    let guest = guest();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let empty = text(&place.dir.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    let said = place.refused(&os(&["--qemu", "/nonexistent/qemu"]));
    assert!(said.contains("no `/nonexistent/qemu`") && said.contains("install QEMU"), "{said}");
    let said = place.refused(&os(&["--kernel-dir", &empty]));
    assert!(
        said.contains("guest kernel") && said.contains("vmlinuz-x86_64") && said.contains("--kernel-dir"),
        "{said}"
    );
    let half = place.dir.path().join("half");
    std::fs::create_dir_all(half.join("initramfs-x86_64")).unwrap();
    std::fs::copy(guest.join("vmlinuz-x86_64"), half.join("vmlinuz-x86_64")).unwrap();
    let said = place.refused(&os(&["--kernel-dir", &text(&half)]));
    assert!(said.contains("initramfs") && said.contains("is a directory, and a file is needed"), "{said}");
    let said = place.refused(&os(&["--kernel-dir", &text(&guest), "--dir", &empty]));
    assert!(said.contains("overlay.qcow2") && said.contains("qemu-img create"), "{said}");
    let said = place.refused(&os(&["--kernel-dir", &text(&guest), "--dir", "/nonexistent/dir"]));
    assert!(said.contains("work directory `/nonexistent/dir` is not there"), "{said}");
}

/// A work directory with all that makes trouble; QEMU's paths, JSON and shell are not in the way.
#[test]
fn a_guest_boots_in_a_directory_of_any_name() {
    let place = Place::new();
    let dir = place.dir.path().join(OsStr::from_bytes(b"-a,b=c d\xff"));
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy(guest().join("rootfs-x86_64.qcow2"), dir.join("overlay.qcow2")).unwrap();
    let output =
        place.run([OsStr::new("--emulate"), "--kernel-dir".as_ref(), guest().as_ref(), "--dir".as_ref(), dir.as_ref()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = stderr(&output);
    assert!(summary.contains("the guest answered") && summary.contains("processes left  0"), "{summary}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("init: ready"), "the console is shown");
    let mut left: Vec<OsString> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(
        left,
        ["console.log", "overlay.qcow2"],
        "the user's directory keeps its disk and the log, and no socket"
    );
}

#[test]
fn a_guest_that_fails_is_status_1() {
    let place = Place::new();
    let kernel_dir = place.dir.path().join("k");
    std::fs::create_dir(&kernel_dir).unwrap();
    for name in ["vmlinuz-x86_64", "rootfs-x86_64.qcow2"] {
        std::fs::copy(guest().join(name), kernel_dir.join(name)).unwrap();
    }
    std::fs::write(kernel_dir.join("initramfs-x86_64"), b"no archive").unwrap();
    let output = place.run([OsStr::new("--emulate"), "--kernel-dir".as_ref(), kernel_dir.as_ref()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("the guest failed"), "{}", stderr(&output));
}

#[test]
fn a_qemu_that_fails_is_status_3_with_its_words() {
    let place = Place::new();
    let facts = place.file("facts.json", TCG);
    let qemu = place.file("qemu", "#!/bin/sh\necho 'qemu: -m 256M: no memory today' >&2\nexit 1\n");
    std::fs::set_permissions(&qemu, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = place.run([
        OsStr::new("--facts"),
        facts.as_ref(),
        "--kernel-dir".as_ref(),
        guest().as_ref(),
        "--qemu".as_ref(),
        qemu.as_ref(),
    ]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("exit status 1 over the argument `-m 256M`") && said.contains("no memory today"), "{said}");
}

#[test]
fn a_machine_that_says_nothing_is_status_4() {
    let place = Place::new();
    let facts = place.file("facts.json", TCG);
    let (qemu, _) = silent_qemu(&place);
    let output = place.run([
        OsStr::new("--facts"),
        facts.as_ref(),
        "--kernel-dir".as_ref(),
        guest().as_ref(),
        "--qemu".as_ref(),
        qemu.as_ref(),
        "--timeout".as_ref(),
        "1".as_ref(),
    ]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("did not answer at"), "{said}");
}

#[test]
fn killing_the_program_kills_qemu() {
    let place = Place::new();
    let facts = place.file("facts.json", TCG);
    let (qemu, pid) = silent_qemu(&place);
    let mut child = place
        .command()
        .args([
            OsStr::new("--facts"),
            facts.as_ref(),
            "--kernel-dir".as_ref(),
            guest().as_ref(),
            "--qemu".as_ref(),
            qemu.as_ref(),
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the stand-in starts", || pid.is_file());
    let pid: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("QEMU is gone", || kill(Pid::from_raw(pid), None).is_err());
}

#[test]
fn ctrl_c_ends_the_machine_and_leaves_nothing() {
    let place = Place::new();
    let mut child = place
        .command()
        .args([OsStr::new("--emulate"), "--kernel-dir".as_ref(), guest().as_ref()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let console = BufReader::new(child.stdout.take().unwrap());
    let mut lines = console.split(b'\n').map_while(Result::ok);
    assert!(lines.any(|line| line.windows(13).any(|part| part == b"Linux version")), "the guest starts");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert!(!lines.any(|line| line.starts_with(b"init: ready")), "the guest did not get to its end");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    place.assert_nothing_is_left();
}
