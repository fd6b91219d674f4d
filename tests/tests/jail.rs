//! What really holds QEMU and gvproxy: read from /proc of the running ones, and tried as a QEMU would that somebody has broken out
//! into. docs/security.md has a table of it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture;
use qemu_dsl::isolation::FIRST_UID;
use qemu_dsl::launch::{UserId, UserIdError};
use qemu_dsl::qmp::Qmp;
use serde_json::{Value, json};
use tests::{Qemu, qemus, root};

const LIMIT: Duration = Duration::from_secs(30);

/// A file that anybody may enter and read, and nobody who is held is to see.
struct Outside {
    dir: tempfile::TempDir,
    file: PathBuf,
    socket: PathBuf,
    _listener: UnixListener,
    tcp: TcpListener,
}

impl Outside {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("outside").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let (file, socket) = (dir.path().join("precious"), dir.path().join("service.sock"));
        std::fs::write(&file, "precious").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o777)).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        Self { dir, file, socket, _listener: listener, tcp }
    }
}

/// Who launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Root,
    RootForUser,
    Ordinary,
}

const NOBODY: u32 = 65534;

/// A sandbox that runs.
struct Sandbox {
    child: Child,
    dir: PathBuf,
    /// QEMU itself, behind all that stands before it.
    qemu: u32,
    gvproxy: Option<u32>,
    /// What is in it goes last, also what a killed launcher has left.
    _parent: tempfile::TempDir,
    killed: bool,
}

fn gvproxy() -> PathBuf {
    let fetched = root().join("target/gvproxy/bin/gvproxy");
    if fetched.is_file() { fetched.canonicalize().unwrap() } else { "gvproxy".into() }
}

impl Sandbox {
    fn start(level: &str, by: By, qemu: &Qemu, network: bool) -> Self {
        let parent = tempfile::Builder::new().prefix("jail").tempdir().unwrap();
        let user = if by == By::RootForUser { "nobody" } else { "-" };
        let program = env!("CARGO_BIN_EXE_sandboxed");
        let mut command = if by == By::Ordinary {
            std::os::unix::fs::chown(parent.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", program]);
            command
        } else {
            Command::new(program)
        };
        command.args([level, user]).arg(parent.path()).arg(qemu.binary(Architecture::X86_64));
        if network {
            command.arg(gvproxy());
        }
        command
            .env("SECRET_OF_THE_LAUNCHER", "hunter2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some((pid, dir)) = line.trim_end().split_once(' ') else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("{level} {by:?} QEMU {}: {said}", qemu.version);
        };
        let of_qemu = descendants(pid.parse().unwrap());
        let is = |pid: &u32, name: &str| comm(*pid).starts_with(name);
        let qemu = of_qemu.into_iter().find(|pid| is(pid, "qemu-system")).expect("QEMU runs");
        let gvproxy = descendants(child.id()).into_iter().find(|pid| is(pid, "gvproxy"));
        assert_eq!(gvproxy.is_some(), network);
        Self { dir: dir.into(), child, qemu, gvproxy, _parent: parent, killed: false }
    }

    fn qmp(&self) -> Qmp {
        Qmp::connect(self.dir.join("qmp.sock"), LIMIT).unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        if !self.killed && !std::thread::panicking() {
            let mut said = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(status.success(), "{said}");
            assert!(!self.dir.exists(), "the work directory is gone");
        }
    }
}

fn comm(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", found[at])).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        }
        at += 1;
    }
    found
}

/// `KEY: VALUE` of /proc/PID/status.
fn status(pid: u32, key: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn namespace(pid: u32, kind: &str) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap()
}

/// The namespaces that a process has of its own.
fn own_namespaces(pid: u32) -> BTreeSet<&'static str> {
    let kinds = ["user", "pid", "net", "mnt", "ipc", "uts"];
    kinds.into_iter().filter(|kind| namespace(pid, kind) != namespace(std::process::id(), kind)).collect()
}

fn soft_limit(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// What holds of everything that is confined, whatever the level.
fn always(pid: u32, by: By, what: &str) {
    let uid: u32 = status(pid, "Uid").split(' ').next().unwrap().parse().unwrap();
    match by {
        By::Root => assert!(uid >= FIRST_UID, "{what}: a user of its own, not {uid}"),
        By::RootForUser if what.starts_with("gvproxy") => assert!(uid >= FIRST_UID, "{what}: {uid}"),
        By::RootForUser | By::Ordinary => assert_eq!(uid, NOBODY, "{what}"),
    }
    for key in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(pid, key), "0000000000000000", "{what}: {key}");
    }
    if by != By::Ordinary {
        assert_eq!(status(pid, "NoNewPrivs"), "1", "{what}");
        assert_eq!(status(pid, "Groups"), "", "{what}");
    }
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let keys: BTreeSet<String> = environment
        .split(|byte| *byte == 0)
        .filter(|variable| !variable.is_empty())
        .map(|variable| String::from_utf8_lossy(variable).split('=').next().unwrap().to_owned())
        .collect();
    // Shells that start a QEMU of the tests set some of their own.
    let allowed = ["PATH", "LANG", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "QEMU_MODULE_DIR"];
    assert!(keys.iter().all(|key| allowed.contains(&key.as_str())), "{what}: {keys:?}");
    assert_eq!(soft_limit(pid, "Max core file size"), "0", "{what}");
    assert_ne!(soft_limit(pid, "Max processes"), "unlimited", "{what}");
    assert!(soft_limit(pid, "Max open files").parse::<u64>().unwrap() <= 1024, "{what}");
    let score: i32 = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse().unwrap();
    assert!(score >= 500, "{what}: {score}");
    // Descriptors that nobody passed on: nothing of the launcher's directories or devices.
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy();
        assert!(!target.contains("/etc/shadow") && !target.contains("cgroup"), "{what}: {target}");
    }
}

fn names(dir: impl AsRef<Path>) -> BTreeSet<String> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// An empty root, but for what is needed; and a /dev and a /proc of its own.
fn in_a_jail(pid: u32, writable: &Path, what: &str) {
    let own = format!("/proc/{pid}/root");
    let top = |path: &Path| path.components().nth(1).map(|part| part.as_os_str().to_str().unwrap().to_owned());
    let mut expected: BTreeSet<String> = ["bin", "dev", "etc", "lib", "lib64", "proc", "usr"].map(str::to_owned).into();
    let shown = [Some(root().canonicalize().unwrap()), Some(writable.to_owned()), Some(std::env::temp_dir())];
    expected.extend(shown.iter().flatten().filter_map(|path| top(path)));
    let there = names(&own);
    assert!(there.is_subset(&expected), "{what}: {there:?}");
    for path in ["root/.bashrc", "home", "var", "sys", "run", "boot", "etc/passwd", "etc/shadow"] {
        assert!(!Path::new(&own).join(path).exists(), "{what}: {path}");
    }
    let devices = names(format!("{own}/dev"));
    let allowed = [
        "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
        "zero",
    ];
    assert!(devices.iter().all(|name| allowed.contains(&name.as_str())), "{what}: {devices:?}");
    let processes = names(format!("{own}/proc")).into_iter().filter(|name| name.parse::<u32>().is_ok()).count();
    assert!(processes <= 4, "{what} sees {processes} processes");
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mounts")).unwrap();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (place, options) = (fields[1], fields[3]);
        let is_ro = options.split(',').any(|option| option == "ro");
        let device = place.starts_with("/dev/") || place == "/proc";
        assert!(is_ro || device || Path::new(place) == writable, "{what} may write to {place}");
        assert!(options.contains("nosuid"), "{what}: {line}");
    }
}

#[test]
fn what_holds_qemu_and_gvproxy_in_a_jail() {
    for qemu in qemus() {
        for by in [By::Root, By::RootForUser, By::Ordinary] {
            let network = qemu.version.is_at_least(7, 2);
            let sandbox = Sandbox::start("jail", by, &qemu, network);
            let what = format!("QEMU {} by {by:?}", qemu.version);
            always(sandbox.qemu, by, &what);
            assert_eq!(status(sandbox.qemu, "Seccomp"), "2", "{what}");
            let all: BTreeSet<&str> = ["user", "pid", "net", "mnt", "ipc", "uts"].into();
            assert_eq!(own_namespaces(sandbox.qemu), all, "{what}");
            in_a_jail(sandbox.qemu, &sandbox.dir, &what);
            assert_ne!(soft_limit(sandbox.qemu, "Max file size"), "unlimited", "{what}: the disk has a bound");
            if let Some(gvproxy) = sandbox.gvproxy {
                let what = format!("gvproxy by {by:?}");
                always(gvproxy, by, &what);
                let mut expected = all.clone();
                expected.remove("net"); // it leads to the internet
                assert_eq!(own_namespaces(gvproxy), expected, "{what}");
                let its_dir = std::fs::read_link(format!("/proc/{gvproxy}/cwd")).unwrap();
                in_a_jail(gvproxy, &its_dir, &what);
                assert!(
                    !Path::new(&format!("/proc/{}/root", sandbox.qemu))
                        .join(its_dir.strip_prefix("/").unwrap())
                        .exists()
                );
                if by == By::Root {
                    assert_ne!(status(gvproxy, "Uid"), status(sandbox.qemu, "Uid"), "each is a user of its own");
                }
            }
        }
    }
}

#[test]
fn what_holds_qemu_without_a_jail() {
    let qemu = &qemus()[0];
    for by in [By::Root, By::RootForUser, By::Ordinary] {
        let sandbox = Sandbox::start("namespaces", by, qemu, false);
        let what = format!("namespaces by {by:?}");
        always(sandbox.qemu, by, &what);
        let mut expected: BTreeSet<&str> = ["pid", "net", "mnt", "ipc", "uts"].into();
        if by == By::Ordinary {
            expected.insert("user");
        }
        assert_eq!(own_namespaces(sandbox.qemu), expected, "{what}");
        assert_eq!(status(sandbox.qemu, "Seccomp"), "2", "{what}");
        drop(sandbox);
        let sandbox = Sandbox::start("none", by, qemu, false);
        always(sandbox.qemu, by, &format!("nothing by {by:?}"));
        assert!(own_namespaces(sandbox.qemu).is_empty());
        assert_eq!(status(sandbox.qemu, "Seccomp"), "2", "{what}");
    }
}

/// Whether QEMU could do what it was told over QMP.
fn could(qmp: &mut Qmp, command: &str, arguments: Value) -> bool {
    qmp.execute(command, Some(arguments), LIMIT).is_ok()
}

/// What somebody could do who has taken QEMU over, done by QEMU itself.
struct Attempts {
    files_made: bool,
    files_read: bool,
    settings_written: bool,
    unix_service: bool,
    tcp_service: bool,
}

fn attempts(sandbox: &Sandbox, outside: &Outside) -> Attempts {
    let qmp = &mut sandbox.qmp();
    let file = |id: &str, path: &Path, append: bool| json!({ "id": id, "backend": { "type": "file", "data": { "out": path, "append": append } } });
    let block = |node: &str, path: &Path, read_only: bool| json!({ "driver": "file", "node-name": node, "filename": path, "read-only": read_only });
    let socket = |id: &str, address: Value| json!({ "id": id, "backend": { "type": "socket", "data": { "addr": address, "server": false } } });
    let unix = json!({ "type": "unix", "data": { "path": outside.socket } });
    let port = outside.tcp.local_addr().unwrap().port().to_string();
    let inet = json!({ "type": "inet", "data": { "host": "127.0.0.1", "port": port } });
    let made = outside.dir.path().join("made-by-qemu");
    let tcp_asked = could(qmp, "chardev-add", socket("tcp", inet));
    Attempts {
        files_made: could(qmp, "chardev-add", file("made", &made, false)) || made.exists(),
        files_read: could(qmp, "blockdev-add", block("read", &outside.file, true))
            || could(qmp, "blockdev-add", block("passwd", Path::new("/etc/passwd"), true)),
        settings_written: could(qmp, "chardev-add", file("core", Path::new("/proc/sys/kernel/core_pattern"), true))
            || could(qmp, "chardev-add", file("sysrq", Path::new("/proc/sysrq-trigger"), true)),
        unix_service: could(qmp, "chardev-add", socket("unix", unix)),
        // A connection may be made in the background: whether one arrives, tells.
        tcp_service: tcp_asked && outside.tcp.accept().is_ok(),
    }
}

/// The same attempts, with the jail and without: they fail because of it.
#[test]
fn an_escaped_qemu_reaches_nothing() {
    for qemu in qemus() {
        for by in [By::Root, By::RootForUser, By::Ordinary] {
            let outside = Outside::new();
            let sandbox = Sandbox::start("jail", by, &qemu, false);
            let Attempts { files_made, files_read, settings_written, unix_service, tcp_service } =
                attempts(&sandbox, &outside);
            let all = [files_made, files_read, settings_written, unix_service, tcp_service];
            assert_eq!(all, [false; 5], "QEMU {} by {by:?}", qemu.version);
            let qmp = &mut sandbox.qmp();
            for device in ["/dev/vda", "/dev/mem", "/dev/kmsg", "/dev/sda"] {
                let arguments = json!({ "driver": "host_device", "node-name": "disk", "filename": device });
                assert!(!could(qmp, "blockdev-add", arguments), "{device}");
            }
            let disk = sandbox.dir.join("own");
            assert!(
                could(
                    qmp,
                    "chardev-add",
                    json!({ "id": "own", "backend": { "type": "file", "data": { "out": disk } } })
                ),
                "its own directory"
            );
            let owner = disk.metadata().unwrap().uid();
            assert!(owner != 0, "what it makes is no file of root's");
        }
    }
}

/// What makes the test above worth something: without a jail, the same attempts succeed.
#[test]
fn without_a_jail_it_reaches_them() {
    let qemu = &qemus()[0];
    let outside = Outside::new();
    let sandbox = Sandbox::start("none", By::Root, qemu, false);
    let Attempts { files_made, files_read, settings_written, unix_service, tcp_service } = attempts(&sandbox, &outside);
    assert!(files_made && files_read && unix_service && tcp_service);
    assert!(!settings_written, "it is not root's");
}

/// One machine's QEMU has no hand on another's: not its sockets, not its disk, not its process.
#[test]
fn two_sandboxes_do_not_touch() {
    let qemu = &qemus()[0];
    for level in ["jail", "namespaces"] {
        let one = Sandbox::start(level, By::Root, qemu, false);
        let other = Sandbox::start(level, By::Root, qemu, false);
        assert_ne!(status(one.qemu, "Uid"), status(other.qemu, "Uid"));
        let qmp = &mut one.qmp();
        let address = json!({ "type": "unix", "data": { "path": other.dir.join("qmp.sock") } });
        let socket =
            json!({ "id": "theirs", "backend": { "type": "socket", "data": { "addr": address, "server": false } } });
        assert!(!could(qmp, "chardev-add", socket), "{level}");
        let disk = json!({ "driver": "file", "node-name": "theirs", "filename": other.dir.join("overlay.qcow2"), "read-only": true });
        assert!(!could(qmp, "blockdev-add", disk), "{level}");
        // A signal of one's user to the other's process.
        let uid = status(one.qemu, "Uid").split(' ').next().unwrap().to_owned();
        let kill = Command::new("setpriv")
            .args([
                &format!("--reuid={uid}"),
                &format!("--regid={uid}"),
                "--clear-groups",
                "--",
                "kill",
                "-0",
                &other.qemu.to_string(),
            ])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!kill.success(), "{level}");
    }
}

/// However the launcher ends, QEMU and gvproxy go with it.
#[test]
fn a_jail_ends_with_its_launcher() {
    let qemu = qemus().into_iter().max_by_key(|qemu| qemu.version).unwrap();
    for level in ["jail", "namespaces"] {
        for by in [By::Root, By::Ordinary] {
            let mut sandbox = Sandbox::start(level, by, &qemu, true);
            sandbox.child.kill().unwrap();
            let (qemu, gvproxy) = (sandbox.qemu, sandbox.gvproxy.unwrap());
            let deadline = Instant::now() + LIMIT;
            while [qemu, gvproxy].iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
                assert!(Instant::now() < deadline, "{level} {by:?}: {} and {}", comm(qemu), comm(gvproxy));
                std::thread::yield_now();
            }
            sandbox.killed = true;
        }
    }
}

/// A user id is free when nothing of its user runs any more, and nobody else's is given.
#[test]
fn user_ids_are_nobodys() {
    let lease = UserId::lease(FIRST_UID + 5000..=FIRST_UID + 5001).unwrap();
    let uid = lease.uid();
    let other = UserId::lease(FIRST_UID + 5000..=FIRST_UID + 5001).unwrap();
    assert_ne!(other.uid(), uid);
    assert!(matches!(UserId::lease(FIRST_UID + 5000..=FIRST_UID + 5001), Err(UserIdError::Taken { .. })));
    // A daemon that has left its machine's family.
    let user = format!("--reuid={uid}");
    let status =
        Command::new("setpriv").args([&user, "--clear-groups", "--", "setsid", "--fork", "sleep", "600"]).status();
    assert!(status.unwrap().success());
    let running = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let text = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("status")).ok();
        let is_its = |text: &String| text.contains(&format!("Uid:\t{uid}\t")) && !text.contains("State:\tZ");
        entries.filter_map(text).filter(is_its).count()
    };
    let deadline = Instant::now() + LIMIT;
    while running() == 0 {
        assert!(Instant::now() < deadline, "the daemon starts");
        std::thread::yield_now();
    }
    drop(lease);
    assert_eq!(running(), 0);
    assert!(matches!(UserId::lease(NOBODY..=NOBODY), Err(UserIdError::Taken { .. })), "it is a user of the system");
    assert!(matches!(UserId::lease(0..=5), Err(UserIdError::Range { .. })));
}
