//! What a line means, judged by QEMU: both spellings make the same machine, or the same mistake.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture::{self, Aarch64, Riscv64, X86_64};
use qemu_dsl::line::{Item, Line, LineTarget, Meaning, Origin, Problem};
use qemu_dsl::qmp::Qmp;
use serde_json::{Value, json};
use tests::lines::LINES;
use tests::{Judged, Qemu, judge_with, qemus};

const LIMIT: Duration = Duration::from_secs(30);

/// What a machine consists of, as far as QMP tells.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Runs(Vec<String>),
    /// What QEMU says, without the option that it says it of.
    Refuses(String),
}

fn ask(qmp: &mut Qmp, command: &str) -> Value {
    qmp.execute(command, None, LIMIT).unwrap_or(Value::Null)
}

fn monitor(qmp: &mut Qmp, command: &str) -> String {
    let args = json!({ "command-line": command });
    let said = qmp.execute("human-monitor-command", Some(args), LIMIT).unwrap_or(Value::Null);
    said.as_str().unwrap_or_default().to_owned()
}

fn inventory(qmp: &mut Qmp) -> Vec<String> {
    let mut found = BTreeSet::new();
    for chardev in ask(qmp, "query-chardev").as_array().unwrap() {
        // A port that the kernel chose is another one each time.
        let filename = chardev["filename"].to_string();
        let is_tcp = filename.contains("tcp:") || filename.contains("telnet:");
        let filename = if is_tcp { filename.replace(|digit: char| digit.is_ascii_digit(), "") } else { filename };
        found.insert(format!("chardev {} {filename}", chardev["label"]));
    }
    for block in ask(qmp, "query-block").as_array().unwrap() {
        // A drive that no board picks up is nobody's, and cannot be written down.
        let device = block["device"].as_str().unwrap_or_default().to_owned();
        let is_seen = block["qdev"].is_string() || block["inserted"].is_object();
        if is_seen {
            let ro = &block["inserted"]["ro"];
            // The overlay of a snapshot has a name that differs each time.
            let file = block["inserted"]["file"].to_string();
            let file = file.find("/vl.").map_or(&*file, |at| &file[..at]);
            found.insert(format!("block {device} {file} {ro}"));
        }
    }
    // Which cards there are, and what is behind them; the names of back ends are QEMU's own.
    for line in monitor(qmp, "info network").lines() {
        for key in ["type=", "model=", "macaddr="] {
            if let Some((_, rest)) = line.split_once(key) {
                let value = rest.split(',').next().unwrap_or_default().trim();
                if key != "type=" || !matches!(value, "nic" | "hubport") {
                    found.insert(format!("network {key}{value}"));
                }
            }
        }
    }
    let mut pci = Vec::new();
    for bus in ask(qmp, "query-pci").as_array().unwrap_or(&Vec::new()) {
        pci.extend(bus["devices"].as_array().unwrap().iter().map(|device| device["id"]["device"].to_string()));
    }
    pci.sort();
    found.insert(format!("pci {pci:?}"));
    let tree = monitor(qmp, "info qtree");
    let devices = tree.lines().filter_map(|line| line.trim().strip_prefix("dev: "));
    let mut devices: Vec<_> = devices.map(|device| device.split(',').next().unwrap_or_default()).collect();
    devices.sort_unstable();
    found.insert(format!("devices {devices:?}"));
    found.insert(format!("memory {}", ask(qmp, "query-memory-size-summary")["base-memory"]));
    found.insert(format!("cpus {}", ask(qmp, "query-cpus-fast").as_array().unwrap().len()));
    found.insert(format!("name {}", ask(qmp, "query-name")["name"]));
    found.into_iter().collect()
}

fn run(qemu: &Qemu, arch: Architecture, line: &Line, dir: &Path) -> Outcome {
    let mut command = QemuCommand::new(qemu.binary(arch)).unwrap();
    for word in line.words().skip(1) {
        command.arg(word.as_os_str()).unwrap();
    }
    let socket = dir.join("qmp.sock");
    let _ = std::fs::remove_file(&socket);
    let mut found = Vec::new();
    match judge_with(&command, &socket, |qmp| {
        qmp.set_memory_limit(16 << 20);
        found = inventory(qmp);
    }) {
        Judged::Accepted { .. } => Outcome::Runs(found),
        Judged::Rejected { stderr } => {
            let last = stderr.lines().rfind(|line| line.contains(": ")).unwrap_or_default();
            Outcome::Refuses(last.rsplit(": ").next().unwrap_or_default().to_owned())
        }
    }
}

/// The line with its meaning, for a binary of these.
fn prepared(qemu: &Qemu, arch: Architecture, text: &str, dir: &Path) -> (Line, Meaning) {
    let text = format!("{} {text} -display none -qmp unix:{{dir}}/qmp.sock,server,nowait", arch.qemu_binary());
    let line = Line::shell(text.replace("{dir}", dir.to_str().unwrap()));
    let target = LineTarget::of(&line).version(qemu.version);
    assert_eq!(target.architecture, Some(arch));
    let meaning = line.meaning_for(target);
    (line, meaning)
}

/// Lines that QEMU takes, with old spellings and shorthands.
const TAKEN: &[(Architecture, &str)] = &[
    (X86_64, "-nodefaults -M pc -hda {dir}/a.img -cdrom {dir}/b.img"),
    (X86_64, "-nodefaults -M pc -hdb {dir}/a.img -hdd {dir}/b.img -fda {dir}/c.img"),
    (X86_64, "-nodefaults {dir}/a.img -m 64 -m slots=2,maxmem=1G -name one -name process=two"),
    (
        X86_64,
        "-nodefaults -M q35 -drive file={dir}/a.img,if=virtio,format=raw -drive if=virtio,format=raw,file={dir}/b.img,readonly",
    ),
    (
        X86_64,
        "-nodefaults -M pc -drive file={dir}/a.img,format=raw -snapshot -drive if=none,id=x,file={dir}/c.img,format=raw",
    ),
    (X86_64, "-nodefaults -M pc -net nic,model=virtio -net user,hostname=a"),
    (X86_64, "-nodefaults -M q35 -net user -net nic,macaddr=52:54:00:00:00:07"),
    (X86_64, "-nodefaults -M pc -nic user,model=e1000,mac=52:54:00:00:00:09 -nic user,model=virtio-net-pci"),
    (X86_64, "-nodefaults -M q35 -nic user -nic none"),
    (X86_64, "-nodefaults -M pc -usbdevice tablet -usbdevice keyboard"),
    (X86_64, "-nodefaults -M q35 --usb --no-reboot -no-shutdown"),
    (X86_64, "-nodefaults -M pc,acpi=off -serial null -serial unix:{dir}/s.sock,server,nowait -parallel null"),
    (
        X86_64,
        "-nodefaults -serial file:{dir}/log,with,commas -monitor unix:{dir}/m,,on.sock,server=on,wait=off -monitor none",
    ),
    (X86_64, "-nodefaults -M microvm -serial mon:stdio -chardev null,id=b -m size=128M -smp 2 -smp maxcpus=2"),
    (X86_64, "-nodefaults -chardev socket,id=c,path={dir}/x,,y.sock,server,nowait,nodelay -qmp-pretty chardev:c"),
    (X86_64, "-nodefaults -serial tcp:127.0.0.1:0,server,nowait -serial telnet::0,server=on,wait=off -debugcon null"),
    (
        X86_64,
        "-nodefaults -M accel=tcg -machine type=q35 -machine usb=on,usb=off -cpu qemu64,+x2apic -global e1000.mac=52:54:00:00:00:11 -device e1000",
    ),
    (X86_64, "-nodefaults -device '{\"driver\":\"e1000\",\"id\":\"n\"}'"),
    (
        X86_64,
        "-nodefaults -blockdev driver=file,node-name=f,filename={dir}/a.img -blockdev raw,node-name=r,file=f -device virtio-blk-pci,drive=r,id=d,id=e",
    ),
    (X86_64, "-nodefaults -M none"),
    // Gone since.
    (X86_64, "-nodefaults -M q35 -no-acpi -no-hpet"),
    (
        Aarch64,
        "-nodefaults -M virt -cpu cortex-a57 -drive file={dir}/a.img,format=raw -net nic -net user -serial stdio",
    ),
    (Aarch64, "-nodefaults -M virt -cpu cortex-a57 -hda {dir}/a.img -smp cpus=2,sockets=2 -nographic"),
    (Riscv64, "-nodefaults -M virt -bios none -drive file={dir}/a.img,format=raw,if=virtio,id=own -pidfile {dir}/pid"),
    // Without -nodefaults: what QEMU adds.
    (X86_64, "-M pc"),
    (X86_64, "-M q35"),
    (X86_64, "-M microvm"),
    (X86_64, ""),
    (X86_64, "-M pc -cdrom {dir}/a.img -serial null -net none -vga none"),
    (X86_64, "-M q35 -nographic -device VGA"),
    (X86_64, "-M pc -nographic -serial null -device isa-fdc -parallel none"),
    (X86_64, "-M q35 -nic user,model=virtio -hda {dir}/a.img -monitor none"),
    (Aarch64, "-M virt -cpu cortex-a57"),
    (Aarch64, "-M virt -cpu cortex-a57 -nographic -nic none"),
    (Riscv64, "-M virt -bios none"),
];

/// Lines that QEMU refuses, whichever way they are spelt.
const REFUSED: &[(Architecture, &str)] = &[
    (X86_64, "-nodefaults -hda {dir}/gone.img"),
    (X86_64, "-nodefaults -device no-such-thing,id=a"),
    (X86_64, "-nodefaults -device e1000,netdev=gone"),
    (X86_64, "-nodefaults -chardev null,id=a -chardev null,id=a"),
    (X86_64, "-nodefaults -chardev null,id=a,nonsense"),
    (X86_64, "-nodefaults -chardev null,id=a,,b"),
    (X86_64, "-nodefaults -M no-such-machine"),
    (X86_64, "-nodefaults -drive file={dir}/a.img,format=raw,nosuch=1"),
    (X86_64, "-nodefaults -serial chardev:gone"),
    (X86_64, "-nodefaults -m nothing"),
    (X86_64, "-nodefaults -blockdev raw,node-name=r,read-only"),
    (X86_64, "-nodefaults -smp nothing"),
    (X86_64, "-nodefaults -mon gone"),
    (X86_64, "-nodefaults -object rng-random,filename=x"),
    (X86_64, "-nodefaults -nosuch"),
];

fn files(dir: &Path) {
    for name in ["a.img", "b.img", "c.img"] {
        std::fs::write(dir.join(name), vec![0; 1 << 20]).unwrap();
    }
}

fn both_spellings(cases: &[(Architecture, &str)], runs: bool) {
    let mut wrong = Vec::new();
    for qemu in qemus() {
        for (arch, text) in cases {
            let dir = tempfile::tempdir().unwrap();
            files(dir.path());
            // JSON devices came later.
            if text.contains("'{") && !qemu.version.is_at_least(7, 2) {
                continue;
            }
            let (line, meaning) = prepared(&qemu, *arch, text, dir.path());
            if runs
                && line
                    .problems(Some(qemu.version))
                    .iter()
                    .any(|problem| matches!(problem, Problem::FlagVersion { .. }))
            {
                continue;
            }
            let rewritten = meaning.to_line();
            let (before, after) = (run(&qemu, *arch, &line, dir.path()), run(&qemu, *arch, &rewritten, dir.path()));
            let at = format!("QEMU {} {line}\n{rewritten}", qemu.version);
            if matches!(before, Outcome::Runs(_)) != runs || before != after {
                wrong.push(format!("{at}\n{before:?}\n{after:?}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_spellings_make_the_same_machine() {
    both_spellings(TAKEN, true);
}

#[test]
fn both_spellings_are_refused_with_the_same_words() {
    both_spellings(REFUSED, false);
}

/// A line that is explicit already means what it says.
#[test]
fn a_meaning_means_itself() {
    for text in LINES.iter().chain(TAKEN.iter().map(|(_, text)| text)) {
        let meaning = Line::file(*text).meaning();
        let again = meaning.to_line().meaning_for(meaning.target);
        let explicit = |meaning: &Meaning| {
            let parts = meaning.parts.iter().filter(|part| part.flag != "nodefaults");
            parts.map(|part| (part.flag, part.to_text())).collect::<Vec<_>>()
        };
        assert_eq!(explicit(&again), explicit(&meaning), "{text}");
    }
}

#[test]
fn every_written_part_says_where() {
    for text in LINES {
        let line = Line::file(*text);
        let spans: Vec<_> = line.items().map(|item: Item<'_>| item.span()).collect();
        for part in line.meaning().parts {
            if let Origin::Written(span) = part.origin {
                assert!(spans.contains(&span), "{text}: {span:?}");
            }
        }
    }
}

#[test]
fn references_lead_to_what_they_name() {
    let named = |text: &str| {
        let meaning = Line::shell(text).meaning();
        let references = meaning.references();
        let show = |to: Option<usize>| to.map(|to| meaning.parts[to].flag);
        references.iter().map(|found| (meaning.parts[found.from].flag, found.key, show(found.to))).collect::<Vec<_>>()
    };
    assert_eq!(
        named(
            "kvm -nodefaults -serial mon:stdio -device virtserialport,chardev=gone -object iothread,id=t -drive if=none,id=d,file=x -device virtio-blk,drive=d,iothread=t"
        ),
        [
            ("serial", "chardev", Some("chardev")),
            ("mon", "chardev", Some("chardev")),
            ("device", "chardev", None),
            ("device", "drive", Some("drive")),
            ("device", "iothread", Some("object")),
        ]
    );
    assert_eq!(
        named(
            "kvm -blockdev '{\"driver\":\"file\",\"node-name\":\"f\",\"filename\":\"x\"}' -device '{\"driver\":\"ide-hd\",\"drive\":\"f\"}' -machine memory-backend=m"
        ),
        [("device", "drive", Some("blockdev")), ("machine", "memory-backend", None)]
    );
}

/// QMP's own answers to the oddities of the syntax.
#[test]
fn words_alone_doubled_commas_and_repeated_keys_are_what_qemu_makes_of_them() {
    const NAMES: &[&str] = &[
        "a",
        "a,,b",
        "guest=a,guest=b",
        "a,guest=c",
        "guest=",
        "guest",
        "noguest",
        "x=y,,z",
        ",,",
        "guest=a,,",
        "a,,,,b",
    ];
    for qemu in qemus() {
        let dir = tempfile::tempdir().unwrap();
        for name in NAMES {
            let (line, meaning) = prepared(&qemu, X86_64, &format!("-nodefaults -M none -name {name}"), dir.path());
            let expected =
                meaning.part("name").unwrap().get("guest").map(|name| String::from_utf8(name.to_vec()).unwrap());
            let Outcome::Runs(found) = run(&qemu, X86_64, &line, dir.path()) else {
                assert!(name.starts_with("x="), "QEMU {} -name {name}", qemu.version);
                continue;
            };
            let shown = format!("name {}", expected.map_or(Value::Null, Value::from));
            assert!(found.contains(&shown), "QEMU {} -name {name}: {found:?} and {shown}", qemu.version);
        }
        for (text, expected) in [
            ("null,id=a,id=b", "chardev \"a\" \"null\""),
            ("null,id", "chardev \"on\" \"null\""),
            ("null,noid", "chardev \"off\" \"null\""),
            ("null,mux,id=a,mux=off", "chardev \"a\" \"null\""),
        ] {
            let (line, meaning) = prepared(&qemu, X86_64, &format!("-nodefaults -M none -chardev {text}"), dir.path());
            let Outcome::Runs(found) = run(&qemu, X86_64, &line, dir.path()) else {
                panic!("QEMU {} {text}", qemu.version)
            };
            assert!(found.iter().any(|line| line == expected), "QEMU {} {text}: {found:?}", qemu.version);
            let id = String::from_utf8(meaning.parts.iter().find_map(|part| part.id()).unwrap().to_vec()).unwrap();
            assert!(expected.starts_with(&format!("chardev \"{id}\"")), "{text}: {id}");
        }
    }
}
