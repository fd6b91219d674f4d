//! Values in options of a wrapper author's own, as firmware and guests are told of them: `fw_cfg` and SMBIOS.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture;
use qemu_dsl::launch::Launch;
use qemu_dsl::opts::{self, QemuOpts};
use tests::qtest::Qtest;
use tests::values::values;
use tests::{Qemu, qemus};

/// `-fw_cfg`.
#[derive(QemuOpts)]
struct FwCfg<'a> {
    name: String,
    string: &'a OsStr,
}

/// `-smbios type=1`.
#[derive(QemuOpts)]
#[qemu(tag = "type")]
enum Smbios<'a> {
    #[qemu(rename = "1")]
    System {
        manufacturer: &'a OsStr,
        product: &'a OsStr,
        version: &'a OsStr,
        serial: &'a OsStr,
        sku: &'a OsStr,
        family: &'a OsStr,
    },
}

/// The `fw_cfg` files of a `pc` with these options.
fn files(qemu: &Qemu, options: &[(&str, Vec<u8>)], wanted: &str) -> Vec<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("qtest");
    let mut command = QemuCommand::new(qemu.binary(Architecture::X86_64)).unwrap();
    for arg in ["-M", "pc", "-S", "-nodefaults", "-display", "none", "-m", "16M", "-qtest"] {
        command.arg(arg).unwrap();
    }
    command.arg(listen(&socket)).unwrap();
    for (flag, text) in options {
        command.arg(flag).unwrap().arg(OsStr::from_bytes(text)).unwrap();
    }
    let machine = Launch::new(&command).start().unwrap();
    let stream: UnixStream = machine.connect(&socket, Instant::now() + Duration::from_secs(30)).unwrap();
    Qtest::new(stream).files(|name| name.starts_with(wanted))
}

fn listen(socket: &Path) -> String {
    format!("unix:{},server=on,wait=off", socket.display())
}

#[test]
fn fw_cfg_strings() {
    for qemu in qemus() {
        for part in values(7, 120, 300).chunks(10) {
            let text = |(number, value): (usize, &Vec<u8>)| {
                let option = FwCfg { name: format!("opt/org.example/{number}"), string: OsStr::from_bytes(value) };
                ("-fw_cfg", opts::to_text(&option).unwrap())
            };
            let options: Vec<_> = part.iter().enumerate().map(text).collect();
            let found = files(&qemu, &options, "opt/org.example/");
            let expected: Vec<_> = part
                .iter()
                .enumerate()
                .map(|(number, value)| (format!("opt/org.example/{number}"), value.clone()))
                .collect();
            assert_eq!(found, expected, "QEMU {}", qemu.version);
        }
    }
}

#[test]
fn smbios_strings() {
    for qemu in qemus() {
        // SMBIOS has no empty strings, and the tables are of bytes.
        for part in values(8, 60, 60).chunks_exact(6) {
            let value = |index: usize| OsStr::from_bytes(&part[index]);
            let option = Smbios::System {
                manufacturer: value(0),
                product: value(1),
                version: value(2),
                serial: value(3),
                sku: value(4),
                family: value(5),
            };
            let option = ("-smbios", opts::to_text(&option).unwrap());
            let found = files(&qemu, &[option], "etc/smbios/smbios-tables");
            let strings = system_strings(&found[0].1);
            assert_eq!(strings, part, "QEMU {}", qemu.version);
        }
    }
}

/// The strings of the table of type 1, as its fields name them. (SMBIOS specification, "System Information (Type 1)")
fn system_strings(mut tables: &[u8]) -> Vec<Vec<u8>> {
    loop {
        let (kind, len) = (tables[0], usize::from(tables[1]));
        let end = len + tables[len..].windows(2).position(|pair| pair == [0, 0]).expect("strings end with two NULs");
        let strings: Vec<&[u8]> = tables[len..end].split(|byte| *byte == 0).collect();
        if kind == 1 {
            let at = |offset: usize| strings[usize::from(tables[offset]) - 1].to_vec();
            // Manufacturer, product, version, serial number; behind UUID and wake-up type: SKU number, family.
            return [4, 5, 6, 7, 25, 26].map(at).into();
        }
        tables = &tables[end + 2..];
    }
}
