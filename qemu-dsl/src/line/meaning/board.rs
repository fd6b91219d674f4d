//! What QEMU adds to a machine by itself. (`qemu_disable_default_devices` and `qemu_create_default_devices`, system/vl.c)

use super::{Meaning, Origin, Part, chardev};
use crate::accel::Architecture;

/// What a drive becomes that says nothing of its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drives {
    Ide,
    Virtio,
    None,
}

/// A family of machine types, as far as defaults go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Board {
    arch: Architecture,
    /// The name, and how the names with a version start.
    names: (&'static str, &'static str),
    /// The network card, where the board makes one of PCI.
    pub(super) nic: Option<&'static str>,
    pub(super) drives: Drives,
    vga: bool,
    floppy: bool,
}

const X86: Board = Board {
    arch: Architecture::X86_64,
    names: ("pc", "pc-i440fx-"),
    nic: Some("e1000"),
    drives: Drives::Ide,
    vga: true,
    floppy: true,
};

const VIRT: Board = Board {
    arch: Architecture::Aarch64,
    names: ("virt", "virt-"),
    nic: Some("virtio-net-pci"),
    drives: Drives::Virtio,
    vga: false,
    floppy: false,
};

/// What each board has; `tests/tests/meaning.rs` asks the binaries.
const BOARDS: [Board; 5] = [
    X86,
    Board { names: ("q35", "pc-q35-"), nic: Some("e1000e"), floppy: false, ..X86 },
    Board { names: ("microvm", "microvm"), nic: None, drives: Drives::None, vga: false, floppy: false, ..X86 },
    VIRT,
    Board { arch: Architecture::Riscv64, nic: None, ..VIRT },
];

/// The board of a line, if it is one of these.
pub(super) fn of(meaning: &Meaning) -> Option<Board> {
    let name = std::str::from_utf8(meaning.machine()?).ok()?;
    let arch = meaning.target.architecture?;
    BOARDS.into_iter().find(|board| {
        let (own, prefix) = board.names;
        board.arch == arch && (name == own || name.starts_with(prefix))
    })
}

/// The devices that stand for a default, so that QEMU adds none. (`default_list`)
const STAND_INS: [(&str, &str); 18] = [
    ("isa-serial", "serial"),
    ("isa-parallel", "parallel"),
    ("isa-fdc", "floppy"),
    ("floppy", "floppy"),
    ("ide-cd", "cdrom"),
    ("ide-hd", "cdrom"),
    ("ide-drive", "cdrom"),
    ("scsi-cd", "cdrom"),
    ("scsi-hd", "cdrom"),
    ("VGA", "vga"),
    ("isa-vga", "vga"),
    ("cirrus-vga", "vga"),
    ("isa-cirrus-vga", "vga"),
    ("vmware-svga", "vga"),
    ("qxl-vga", "vga"),
    ("virtio-vga", "vga"),
    ("virtio-vga-gl", "vga"),
    ("ati-vga", "vga"),
];

/// Adds what QEMU adds. Drives that no board picks up, which nobody sees, are left out.
pub(super) fn defaults(meaning: &mut Meaning) {
    if meaning.has("nodefaults") {
        meaning.is_complete = true;
        return;
    }
    let Some(board) = of(meaning) else { return };
    meaning.is_complete = true;
    let stands_in = |what: &str| {
        let mut drivers =
            meaning.parts.iter().filter(|part| part.flag == "device").filter_map(|part| part.get("driver"));
        drivers.any(|driver| STAND_INS.iter().any(|(name, for_what)| *for_what == what && name.as_bytes() == driver))
    };
    let is_nographic = meaning.has("nographic");
    let has_mux = meaning.parts.iter().any(|part| part.is("mon", "mode", "readline"));
    let has_monitor = has_mux || meaning.has("mon") || meaning.has("monitor");
    let has_serial = meaning.has("serial") || stands_in("serial");
    let has_parallel = meaning.has("parallel") || stands_in("parallel");
    let has_net = ["net", "netdev", "nic"].into_iter().any(|flag| meaning.has(flag));
    let index_taken = |interface: &str, index: &str| {
        let is_there = |part: &&Part| {
            let of = part.get("if").map_or(interface == "ide", |found| found == interface.as_bytes());
            part.flag == "drive" && of && part.get("index").is_some_and(|found| found == index.as_bytes())
        };
        meaning.parts.iter().any(|part| is_there(&part))
    };
    let has_cdrom = stands_in("cdrom") || index_taken("ide", "2") || board.drives != Drives::Ide;
    let has_floppy = stands_in("floppy") || index_taken("floppy", "0") || !board.floppy;
    let has_vga = meaning.has("vga") || stands_in("vga") || !board.vga;
    let mut added = Vec::new();
    let mut port = |flag: &'static str, id: &str, text: &[u8], why| {
        if let Some(shorthand) = chardev::parse(text) {
            let monitor = shorthand.monitor;
            added.push(shorthand.device(id.as_bytes(), &Origin::Added(why)));
            if flag != "mon" {
                added.push(Part::text(flag, format!("chardev:{id}").as_bytes(), &Origin::Added(why)));
            }
            if monitor || flag == "mon" {
                added.push(Part::added("mon", &[("chardev", id.as_bytes()), ("mode", b"readline")], why));
            }
        }
    };
    let with_monitor = is_nographic && !has_monitor;
    if !has_serial {
        let text: &[u8] = match (is_nographic, with_monitor) {
            (true, true) => b"mon:stdio",
            (true, false) => b"stdio",
            _ => b"vc",
        };
        port("serial", "serial0", text, "the first serial port, where no `-serial` is");
    }
    // Boards without such a port are given its back end all the same.
    if !has_parallel {
        let text: &[u8] = if is_nographic { b"null" } else { b"vc" };
        port("parallel", "parallel0", text, "the first parallel port, where no `-parallel` is");
    }
    if !has_monitor && (!is_nographic || has_serial) {
        let text: &[u8] = if is_nographic { b"stdio" } else { b"vc" };
        port("mon", "compat_monitor0", text, "a human monitor, where no monitor is");
    }
    if !has_net {
        let why = "a network card and user networking, where no network is";
        added.push(Part::added("netdev", &[("type", b"user"), ("id", b"default")], why));
        if let Some(nic) = board.nic {
            added.push(Part::added("device", &[("driver", nic.as_bytes()), ("netdev", b"default")], why));
        }
    }
    if !has_cdrom {
        added.push(Part::added("drive", &[("media", b"cdrom"), ("index", b"2")], "an empty CD-ROM drive"));
    }
    if !has_floppy {
        added.push(Part::added("drive", &[("if", b"floppy"), ("index", b"0")], "an empty floppy drive"));
    }
    if !has_vga {
        added.push(Part::text("vga", b"std", &Origin::Added("a graphics card, where no `-vga` is")));
    }
    meaning.parts.extend(added);
}

impl Part {
    /// A part that QEMU adds.
    fn added(flag: &'static str, options: &[(&str, &[u8])], why: &'static str) -> Self {
        Self::options(flag, options, &Origin::Added(why))
    }
}
