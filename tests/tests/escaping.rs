//! Values of all kinds go through the library into real QEMU, and come back as they were.
//!
//! Where QMP gives a value back, it is compared there; bytes that are not UTF-8, which JSON cannot hold, are compared where
//! QEMU puts them: in the names of the files that it makes or opens.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qemu_dsl::accel::Architecture;
use qemu_dsl::backend::TemplateMemory;
use qemu_dsl::cpu::BestCpu;
use qemu_dsl::machine::AnyMachine;
use qemu_dsl::opts::{self, OptError};
use qemu_dsl::prelude::*;
use qemu_dsl::qmp::Qmp;
use qemu_dsl::vm::Target;
use serde_json::{Value, json};
use tests::values::values;
use tests::{Judged, Qemu, judge_with, qemus};

type AnyVmOf = Vm<AnyMachine, Tcg>;

const LIMIT: Duration = Duration::from_secs(30);
const ARCHS: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];
const SEED: u64 = 0x5eed;

/// A directory with a short path, so that sockets in it have room for long names.
fn short_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("e").rand_bytes(4).tempdir_in("/tmp").unwrap()
}

/// Starts a VM, and asks it.
fn ask(qemu: &Qemu, arch: Architecture, dir: &Path, define: impl FnOnce(&mut AnyVmOf), ask: impl FnOnce(&mut Qmp)) {
    let machine: AnyMachine = match arch {
        Architecture::X86_64 => Pc::new().into(),
        _ => VirtPcie::new().into(),
    };
    let binary = qemu.binary(arch);
    let target = Target::default().binary(&binary).version(qemu.version);
    let mut vm = Vm::for_target(&target, machine, Tcg::new(), BestCpu::new(), mib!(64));
    vm.without_kernel();
    let qmp = dir.join("q");
    let _ = std::fs::remove_file(&qmp);
    vm.qmp(SocketPath::new(&qmp).unwrap());
    define(&mut vm);
    let command = vm.build().unwrap();
    if let Judged::Rejected { stderr } = judge_with(&command, &qmp, ask) {
        panic!("QEMU {} ({arch}): {stderr}", qemu.version);
    }
}

fn query(qmp: &mut Qmp, command: &str, arguments: Option<Value>) -> Value {
    // Hundreds of devices in one machine.
    qmp.set_memory_limit(64 << 20);
    qmp.execute(command, arguments, LIMIT).unwrap_or_else(|error| panic!("{command}: {error}"))
}

fn names(dir: &Path) -> BTreeSet<Vec<u8>> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().as_bytes().to_vec()).collect()
}

fn file(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(name))
}

/// The ids of all character devices but QMP's.
fn chardevs(qmp: &mut Qmp) -> BTreeSet<String> {
    let list = query(qmp, "query-chardev", None);
    let labels = list.as_array().unwrap().iter().map(|chardev| chardev["label"].as_str().unwrap().to_owned());
    labels.filter(|label| !label.starts_with("compat_monitor") && label != "qmp").collect()
}

fn numbered(prefix: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// Runs `test` for each binary, and for each part of the values.
fn each(count: usize, max: usize, batch: usize, mut test: impl FnMut(&Qemu, Architecture, &[Vec<u8>])) {
    let values = values(SEED, count, max);
    println!("{count} values for each architecture, seed {SEED:#x}");
    for qemu in qemus() {
        for arch in ARCHS {
            for part in values.chunks(batch) {
                test(&qemu, arch, part);
            }
        }
    }
}

#[test]
fn names_of_files_that_qemu_makes() {
    each(4000, 200, 400, |qemu, arch, values| {
        let (dir, files) = (short_dir(), short_dir());
        let define = |vm: &mut AnyVmOf| {
            for value in values {
                let path = file(files.path(), value);
                let part = vm.chardev(LogFile::new(&path));
                vm.spare(part);
            }
        };
        ask(qemu, arch, dir.path(), define, |qmp| {
            assert_eq!(names(files.path()), values.iter().cloned().collect::<BTreeSet<_>>());
            assert_eq!(chardevs(qmp), numbered("chardev", values.len()), "no value adds or removes a character device");
        });
    });
}

#[test]
fn paths_of_sockets() {
    each(2000, 80, 400, |qemu, arch, values| {
        let (dir, sockets) = (short_dir(), short_dir());
        let define = |vm: &mut AnyVmOf| {
            for value in values {
                let path = file(sockets.path(), value);
                let part = vm.chardev(Socket::listen(SocketPath::new(&path).unwrap()));
                vm.spare(part);
            }
        };
        ask(qemu, arch, dir.path(), define, |qmp| {
            assert_eq!(names(sockets.path()), values.iter().cloned().collect::<BTreeSet<_>>());
            assert_eq!(chardevs(qmp), numbered("chardev", values.len()));
        });
    });
}

/// Makes a file for each value.
fn make_files(dir: &Path, values: &[Vec<u8>]) {
    for value in values {
        std::fs::write(file(dir, value), [0; 512]).unwrap();
    }
}

/// A value as QMP shows it.
fn shown(dir: &Path, value: &[u8]) -> Option<String> {
    String::from_utf8(file(dir, value).into_os_string().into_encoded_bytes()).ok()
}

/// The images that QEMU has, by drive: (file, read-only).
fn images(qmp: &mut Qmp) -> BTreeMap<String, (String, bool)> {
    let list = query(qmp, "query-block", None);
    let of = |drive: &Value| {
        let inserted = &drive["inserted"];
        let file = inserted["file"].as_str().unwrap_or_default().to_owned();
        (drive["device"].as_str().unwrap().to_owned(), (file, inserted["ro"].as_bool().unwrap_or_default()))
    };
    list.as_array().unwrap().iter().map(of).collect()
}

#[test]
fn disk_images() {
    each(2000, 200, 250, |qemu, arch, values| {
        let (dir, files) = (short_dir(), short_dir());
        make_files(files.path(), values);
        let define = |vm: &mut AnyVmOf| {
            for value in values {
                let path = file(files.path(), value);
                let part = vm.drive(Drive::new(&path, Format::Raw).readonly(true));
                vm.spare(part);
            }
        };
        ask(qemu, arch, dir.path(), define, |qmp| {
            let images = images(qmp);
            assert_eq!(images.len(), values.len(), "no value adds or removes a drive");
            for (number, value) in values.iter().enumerate() {
                let (found, read_only) = &images[&format!("drive{number}")];
                assert!(read_only);
                if let Some(expected) = shown(files.path(), value) {
                    assert_eq!(*found, expected);
                }
            }
        });
    });
}

/// A relative path that looks like a protocol is a file all the same.
#[test]
fn block_nodes() {
    each(1000, 200, 250, |qemu, arch, values| {
        let (dir, files) = (short_dir(), short_dir());
        make_files(files.path(), values);
        let define = |vm: &mut AnyVmOf| {
            for value in values {
                let path = file(files.path(), value);
                let part = vm.shared_image(ReadOnlyImage::new(&path, Format::Raw));
                vm.spare(part);
            }
        };
        ask(qemu, arch, dir.path(), define, |qmp| {
            let nodes = query(qmp, "query-named-block-nodes", Some(json!({ "flat": true })));
            let ours = nodes.as_array().unwrap().iter().filter(|node| node["drv"] == "raw");
            let ours: BTreeMap<&str, &str> =
                ours.map(|node| (node["node-name"].as_str().unwrap(), node["file"].as_str().unwrap())).collect();
            assert_eq!(ours.len(), values.len());
            for (number, value) in values.iter().enumerate() {
                if let Some(expected) = shown(files.path(), value) {
                    assert_eq!(ours[&*format!("drive{number}")], expected);
                }
            }
        });
    });
}

#[test]
fn properties_of_objects() {
    each(1000, 200, 250, |qemu, arch, values| {
        let (dir, files) = (short_dir(), short_dir());
        make_files(files.path(), values);
        let define = |vm: &mut AnyVmOf| {
            for value in values {
                let path = file(files.path(), value);
                let part = vm.rng_backend(RngRandom::file(&path));
                vm.spare(part);
            }
        };
        ask(qemu, arch, dir.path(), define, |qmp| {
            let objects = query(qmp, "qom-list", Some(json!({ "path": "/objects" })));
            let objects =
                objects.as_array().unwrap().iter().filter(|object| object["type"] == "child<rng-random>").count();
            assert_eq!(objects, values.len(), "no value adds or removes an object");
            for (number, value) in values.iter().enumerate() {
                let property = json!({ "path": format!("/objects/rng{number}"), "property": "filename" });
                if let Some(expected) = shown(files.path(), value) {
                    assert_eq!(query(qmp, "qom-get", Some(property)), *expected);
                }
            }
        });
    });
}

#[test]
fn properties_of_devices() {
    each(900, 200, 90, |qemu, arch, values| {
        let dir = short_dir();
        let values: Vec<&str> = values.iter().filter_map(|value| std::str::from_utf8(value).ok()).collect();
        let define = |vm: &mut AnyVmOf| {
            let (_, ports) = vm.virtio_serial_ports(values.len());
            for ((number, value), port) in values.iter().enumerate().zip(ports) {
                let null = vm.chardev(NullChardev {});
                let id = Id::parse(&format!("port{number}")).unwrap();
                vm.add_as(id, VirtSerialPort::new(port, null).name(value));
            }
        };
        ask(qemu, arch, dir.path(), define, |qmp| {
            for (number, value) in values.iter().enumerate() {
                let name = json!({ "path": format!("/machine/peripheral/port{number}"), "property": "name" });
                assert_eq!(query(qmp, "qom-get", Some(name)), **value);
            }
        });
    });
}

#[test]
fn addresses_of_network_back_ends() {
    for qemu in qemus().iter().filter(|qemu| qemu.version.is_at_least(7, 2)) {
        for arch in ARCHS {
            for values in values(SEED, 300, 80).chunks(20) {
                let (dir, sockets) = (short_dir(), short_dir());
                let listeners: Vec<UnixListener> =
                    values.iter().map(|value| UnixListener::bind(file(sockets.path(), value)).unwrap()).collect();
                let define = |vm: &mut AnyVmOf| {
                    for value in values {
                        let path = file(sockets.path(), value);
                        let net = vm.netdev(StreamNetdev::unix(SocketPath::new(&path).unwrap()));
                        vm.add(VirtioNet::new(net));
                    }
                };
                ask(qemu, arch, dir.path(), define, |_| {
                    for (listener, value) in listeners.iter().zip(values) {
                        listener.set_nonblocking(true).unwrap();
                        assert!(listener.accept().is_ok(), "QEMU connected to {:?}", OsStr::from_bytes(value));
                        assert!(listener.accept().is_err(), "once");
                    }
                });
            }
        }
    }
}

/// `-name`, and the raw arguments `-kernel`, `-initrd` and `-append`: one of each to a VM.
#[test]
fn options_of_the_vm() {
    for qemu in qemus() {
        for (number, value) in values(SEED, 60, 200).iter().step_by(2).enumerate() {
            let Ok(text) = std::str::from_utf8(value) else { continue };
            let dir = short_dir();
            let binary = qemu.binary(Architecture::Aarch64);
            let target = Target::default().binary(&binary).version(qemu.version);
            let mut vm = Vm::for_target(&target, Virt::new(), Tcg::new(), CortexA57::new(), mib!(64));
            let (kernel, initrd, qmp) =
                (file(dir.path(), value), dir.path().join(format!("i{number}")), dir.path().join("\u{1}q"));
            std::fs::write(&kernel, [0; 4096]).unwrap();
            std::fs::write(&initrd, [0; 512]).unwrap();
            vm.name(text)
                .qmp(SocketPath::new(&qmp).unwrap())
                .kernel(Kernel::new(&kernel).initrd(&initrd).cmdline(text));
            let judged = judge_with(&vm.build().unwrap(), &qmp, |qmp| {
                assert_eq!(query(qmp, "query-name", None)["name"], text);
                let mut machine =
                    |property: &str| query(qmp, "qom-get", Some(json!({ "path": "/machine", "property": property })));
                assert_eq!(machine("append"), text);
                assert_eq!(machine("kernel"), *kernel.to_str().unwrap());
                assert_eq!(machine("initrd"), *initrd.to_str().unwrap());
            });
            assert!(matches!(judged, Judged::Accepted { .. }), "QEMU {}: {judged:?}", qemu.version);
        }
    }
}

#[test]
fn memory_in_a_file() {
    for qemu in qemus() {
        for value in [&b"a,b"[..], b",share=on", b"=", b"\xff,", b"a,,b"] {
            let (dir, files) = (short_dir(), short_dir());
            let path = file(files.path(), value);
            let binary = qemu.binary(Architecture::X86_64);
            let target = Target::default().binary(&binary).version(qemu.version);
            let memory = TemplateMemory::copy_on_write(&path, mib!(16));
            std::fs::write(&path, vec![0; 16 << 20]).unwrap();
            let mut vm = Vm::for_target(&target, Q35::new(), Tcg::new(), Haswell::new(), memory);
            let qmp = dir.path().join("q");
            vm.qmp(SocketPath::new(&qmp).unwrap());
            let judged = judge_with(&vm.build().unwrap(), &qmp, |qmp| {
                let mut of = |property: &str| {
                    query(qmp, "qom-get", Some(json!({ "path": "/objects/mem0", "property": property })))
                };
                assert_eq!(of("share"), false);
                if let Some(path) = path.to_str() {
                    assert_eq!(of("mem-path"), *path);
                }
            });
            assert!(matches!(judged, Judged::Accepted { .. }), "QEMU {}: {judged:?}", qemu.version);
            assert_eq!(names(files.path()), BTreeSet::from([value.to_vec()]));
        }
    }
}

/// What cannot be said is refused, with the reason.
#[test]
fn refused_with_a_reason() {
    let nul = opts::to_text(&LogFile::new("a\0b")).unwrap_err();
    assert!(matches!(nul, OptError::Nul { offset: 1, .. }), "{nul}");
    for value in values(SEED, 500, 300) {
        let path = OsStr::from_bytes(&value);
        assert_eq!(SocketPath::new(path).is_ok(), value.len() <= 107);
    }
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let _ = vm.drive(Drive::new("a\0", Format::Raw));
    let errors = vm.build().unwrap_err().to_string();
    assert!(errors.contains("-drive") && errors.contains("NUL"), "{errors}");
}
