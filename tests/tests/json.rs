//! The JSON of the library's parts, judged by QEMU: as arguments, and as QMP's commands.

use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture;
use qemu_dsl::launch::{Launch, LaunchError, Machine};
use qemu_dsl::opts::{Context, JsonForm, QemuOpts, Transport, to_json};
use qemu_dsl::prelude::*;
use qemu_dsl::qmp::Qmp;
use qemu_dsl::{QemuCommand, QemuVersion};
use tests::{Qemu, qemus};

const LIMIT: Duration = Duration::from_secs(30);

/// An image, as the library's own `-blockdev` writes it.
#[derive(QemuOpts)]
struct Image<'a> {
    driver: &'a str,
    read_only: bool,
    #[qemu(flatten, prefix = "file.")]
    file: File<'a>,
}

#[derive(QemuOpts)]
struct File<'a> {
    driver: &'a str,
    filename: &'a Path,
}

/// A user-mode network with a list of groups.
#[derive(QemuOpts)]
#[qemu(implied = "user", build)]
struct Forwarding {
    restrict: bool,
    #[qemu(list, flatten)]
    hostfwd: Vec<Forward>,
}

#[derive(QemuOpts)]
struct Forward {
    str: &'static str,
}

struct Json {
    form: JsonForm,
    /// The first version whose argument takes JSON.
    since: (u16, u16),
    text: String,
}

/// Every public part that has such a form, in an order in which QEMU can take them.
fn parts(dir: &Path, version: QemuVersion) -> Vec<Json> {
    let context = Context::new(Transport::Pci, Some(version));
    let mut out = Vec::new();
    let mut add = |form, id: &str, text: Result<String, qemu_dsl::opts::OptError>| {
        let since = match form {
            JsonForm::DeviceAdd => (6, 2),
            JsonForm::NetdevAdd => (7, 2),
            JsonForm::ObjectAdd => (6, 0),
            _ => (5, 2),
        };
        out.push(Json { form, since, text: text.unwrap_or_else(|error| panic!("{id}: {error}")) });
    };
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    let image = dir.join("a, \"b\".raw");
    std::fs::write(&image, [0; 4096]).unwrap();
    for id in ["drive0", "drive1"] {
        let file = File { driver: "file", filename: &image };
        let node = Image { driver: "raw", read_only: true, file };
        add(JsonForm::BlockdevAdd, id, to_json(&node, JsonForm::BlockdevAdd, Some(Id::parse(id).unwrap()), context));
    }
    macro_rules! say {
        ($form:ident, $id:literal, $part:expr) => {
            add(JsonForm::$form, $id, to_json(&$part, JsonForm::$form, Some(qemu_dsl::id!($id)), context))
        };
    }
    let path = dir.join("net.sock");
    say!(ObjectAdd, "rng0", RngRandom::urandom());
    say!(NetdevAdd, "netdev0", Netdev::from(UserNetdev::new().restrict(true)));
    say!(NetdevAdd, "netdev1", Forwarding { restrict: false, hostfwd: vec![Forward { str: "tcp:127.0.0.1:0-:80" }] });
    if version.is_at_least(8, 0) {
        let mut stream = StreamNetdev::unix(SocketPath::new(&path).unwrap());
        if let Some(proof) = version.since() {
            stream = stream.reconnect(qemu_dsl::backend::Reconnect::milliseconds(250, proof));
        }
        say!(NetdevAdd, "netdev2", Netdev::from(stream));
    }
    say!(DeviceAdd, "port0", PcieRootPort::new(7).slot(3));
    let (disk, nvme) = (vm.drive(Drive::new("a", Format::Raw)), vm.drive(Drive::new("b", Format::Raw)));
    let serial = DiskSerial::new("007").unwrap();
    let blk = VirtioBlk::new(disk).num_queues(2).queue_size(64).serial(serial).bootindex(1);
    say!(DeviceAdd, "blk0", blk);
    say!(DeviceAdd, "nvme0", Nvme::new(nvme, DiskSerial::new("on").unwrap()));
    let net = vm.netdev(UserNetdev::new());
    let mac = MacAddress::parse("52:54:00:00:00:01").unwrap();
    say!(DeviceAdd, "net0", VirtioNet::new(net).mac(mac).mq(false).csum(true));
    let rng = vm.rng_backend(RngRandom::urandom());
    say!(DeviceAdd, "rngdev0", VirtioRng::new(rng));
    say!(DeviceAdd, "balloon0", VirtioBalloon::new().deflate_on_oom(true).free_page_reporting(false));
    out
}

fn start(qemu: &Qemu, dir: &Path, machine: &str, args: &[&str]) -> Result<(Machine, Qmp), LaunchError> {
    let socket = dir.join("json.sock");
    let _ = std::fs::remove_file(&socket);
    let mut command = QemuCommand::new(qemu.binary(Architecture::X86_64)).unwrap();
    let qmp = format!("unix:{},server=on,wait=off", socket.display());
    let own = ["-M", machine, "-m", "64M", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-qmp", &qmp];
    for arg in own.iter().chain(args) {
        command.arg(arg).unwrap();
    }
    let machine = Launch::new(&command).start()?;
    let qmp = machine.qmp(&socket, Instant::now() + LIMIT)?;
    Ok((machine, qmp))
}

#[test]
fn qemu_takes_the_arguments() {
    let mut judged = 0;
    for qemu in qemus() {
        let dir = tempfile::tempdir().unwrap();
        let parts = parts(dir.path(), qemu.version);
        // What an older version does not take as JSON, nothing behind it can refer to.
        if !parts.iter().all(|part| qemu.version.is_at_least(part.since.0, part.since.1)) {
            continue;
        }
        judged += 1;
        let mut args = Vec::new();
        for part in &parts {
            let flag = match part.form {
                JsonForm::DeviceAdd => "-device",
                JsonForm::NetdevAdd => "-netdev",
                JsonForm::ObjectAdd => "-object",
                _ => "-blockdev",
            };
            args.extend([flag, part.text.as_str()]);
        }
        let (_machine, mut qmp) = start(&qemu, dir.path(), "q35", &args)
            .unwrap_or_else(|error| panic!("QEMU {}: {error}\n{}", qemu.version, args.join(" ")));
        assert_values(&qemu, &mut qmp, &["blk0", "nvme0", "net0", "balloon0", "port0"]);
    }
    assert!(judged > 0, "no QEMU here takes JSON");
}

#[test]
fn qemu_takes_the_commands() {
    for qemu in qemus() {
        let dir = tempfile::tempdir().unwrap();
        let (_machine, mut qmp) = start(&qemu, dir.path(), "pc", &[]).unwrap();
        // A port is there from the start: it makes the bus into which others are plugged.
        let later = |part: &Json| !part.text.contains("pcie-root-port");
        for part in parts(dir.path(), qemu.version).into_iter().filter(later) {
            let command = match part.form {
                JsonForm::DeviceAdd => "device_add",
                JsonForm::NetdevAdd => "netdev_add",
                JsonForm::ObjectAdd => "object-add",
                _ => "blockdev-add",
            };
            // Lists of a netdev's are objects of strings before QAPI took the command over.
            let arguments = serde_json::from_str(&part.text).unwrap();
            qmp.execute(command, Some(arguments), LIMIT)
                .unwrap_or_else(|error| panic!("QEMU {}: {command} {}: {error}", qemu.version, part.text));
        }
        assert_values(&qemu, &mut qmp, &["blk0", "nvme0", "net0", "balloon0"]);
    }
}

/// What arrived is what was said.
fn assert_values(qemu: &Qemu, qmp: &mut Qmp, devices: &[&str]) {
    let values = [
        ("blk0", "queue-size", serde_json::json!(64)),
        ("blk0", "serial", serde_json::json!("007")),
        ("nvme0", "serial", serde_json::json!("on")),
        ("net0", "mac", serde_json::json!("52:54:00:00:00:01")),
        ("balloon0", "deflate-on-oom", serde_json::json!(true)),
        ("port0", "chassis", serde_json::json!(7)),
    ];
    for (device, property, expected) in values.into_iter().filter(|(device, ..)| devices.contains(device)) {
        let arguments = serde_json::json!({ "path": format!("/machine/peripheral/{device}"), "property": property });
        let found = qmp.execute("qom-get", Some(arguments), LIMIT).unwrap();
        assert_eq!(found, expected, "QEMU {}: {device}.{property}", qemu.version);
    }
}
