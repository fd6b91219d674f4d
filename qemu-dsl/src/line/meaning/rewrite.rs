//! Old spellings and shorthands, as QEMU itself reads them. (`qemu_init`, system/vl.c; `drive_new`, blockdev.c)

use super::board::{self, Drives};
use super::{Meaning, Part, PartValue, chardev};
use crate::flag::Release;

/// How many there were of what QEMU counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    serial: usize,
    parallel: usize,
    monitor: usize,
    nic: usize,
}

impl Meaning {
    /// Whether the version is this release or later; a version that is not known is the newest.
    fn since(&self, release: Release) -> bool {
        let at = release.version();
        self.target.version.is_none_or(|version| version.is_at_least(at.major, at.minor))
    }
}

/// The switches that are one key of another one.
const KEYS: [(&str, &str, &str, &str); 6] = [
    ("no-acpi", "machine", "acpi", "off"),
    ("no-hpet", "machine", "hpet", "off"),
    ("usb", "machine", "usb", "on"),
    ("enable-kvm", "machine", "accel", "kvm"),
    ("no-reboot", "action", "reboot", "shutdown"),
    ("no-shutdown", "action", "shutdown", "pause"),
];

/// `-usbdevice`'s names.
const USB: [(&str, &str); 4] =
    [("tablet", "usb-tablet"), ("mouse", "usb-mouse"), ("keyboard", "usb-kbd"), ("wacom-tablet", "usb-wacom-tablet")];

/// Adds an option in its explicit form.
pub(super) fn option(meaning: &mut Meaning, part: Part, counts: &mut Counts) {
    let origin = part.origin.clone();
    let text = match &part.value {
        PartValue::Text(text) => text.clone(),
        _ => Vec::new(),
    };
    let has_actions = meaning.since(Release::V7_2);
    let drive = |options: &[(&str, &[u8])]| {
        let mut all = options.to_vec();
        all.insert(0, ("file", &text));
        Part::options("drive", &all, &origin)
    };
    if let Some((_, flag, key, value)) = KEYS.iter().find(|(name, ..)| *name == part.flag)
        && (*flag != "action" || has_actions)
    {
        return meaning.add(Part::options(flag, &[(key, value.as_bytes())], &origin));
    }
    match part.flag {
        "hda" | "hdb" | "hdc" | "hdd" => {
            let index = [part.flag.as_bytes()[2] - b'a' + b'0'];
            meaning.add(drive(&[("index", &index), ("media", b"disk")]));
        }
        "cdrom" => meaning.add(drive(&[("index", b"2"), ("media", b"cdrom")])),
        "fda" | "fdb" => {
            let index = [part.flag.as_bytes()[2] - b'a' + b'0'];
            meaning.add(drive(&[("if", b"floppy"), ("index", &index)]));
        }
        "pflash" => meaning.add(drive(&[("if", b"pflash")])),
        "sd" => meaning.add(drive(&[("if", b"sd")])),
        "mtdblock" => meaning.add(drive(&[("if", b"mtd")])),
        "watchdog-action" if has_actions => meaning.add(Part::options("action", &[("watchdog", &text)], &origin)),
        "s" => meaning.add(Part::text("gdb", b"tcp::1234", &origin)),
        "usbdevice" => match USB.iter().find(|(name, _)| name.as_bytes() == text) {
            Some((_, driver)) => {
                meaning.add(Part::options("machine", &[("usb", b"on")], &origin));
                meaning.add(Part::options("device", &[("driver", driver.as_bytes())], &origin));
            }
            None => meaning.add(part),
        },
        "m" => memory(meaning, part),
        "serial" | "parallel" => {
            let count = if part.flag == "serial" { &mut counts.serial } else { &mut counts.parallel };
            let id = format!("{}{count}", part.flag);
            // A parallel port that is `none` does not count.
            *count += usize::from(part.flag == "serial" || text != b"none");
            character(meaning, part, &id);
        }
        "monitor" | "qmp" | "qmp-pretty" => monitor(meaning, part, counts),
        "virtfs" => virtfs(meaning, part),
        "nic" => nic(meaning, part, counts),
        _ => meaning.add(part),
    }
}

/// A number of memory without a unit is in MiB. (`parse_memory_options`)
fn memory(meaning: &mut Meaning, mut part: Part) {
    if let Some(size) = part.get("size").map(<[u8]>::to_vec)
        && size.last().is_some_and(u8::is_ascii_digit)
    {
        part.take("size");
        if let PartValue::Options(options) = &mut part.value {
            options.insert(0, (b"size".to_vec(), [&size[..], b"M"].concat()));
        }
    }
    meaning.add(part);
}

/// A port of the machine on a character device of its own.
fn character(meaning: &mut Meaning, part: Part, id: &str) {
    let PartValue::Text(text) = &part.value else { return meaning.add(part) };
    let Some(shorthand) = chardev::parse(text) else { return meaning.add(part) };
    let monitor = shorthand.monitor;
    meaning.add(shorthand.device(id.as_bytes(), &part.origin));
    meaning.add(Part::text(part.flag, format!("chardev:{id}").as_bytes(), &part.origin));
    if monitor {
        let options = [("chardev", id.as_bytes()), ("mode", b"readline")];
        meaning.add(Part::options("mon", &options, &part.origin));
    }
}

fn monitor(meaning: &mut Meaning, part: Part, counts: &mut Counts) {
    let PartValue::Text(text) = &part.value else { return meaning.add(part) };
    // `-monitor` looks at the first four bytes only.
    if part.flag == "monitor" && text.starts_with(b"none") {
        return meaning.parts.push(part);
    }
    let own = format!("compat_monitor{}", counts.monitor);
    // Older ones count monitors on others' character devices too.
    let is_own = !text.starts_with(b"chardev:");
    counts.monitor += usize::from(is_own || !meaning.since(Release::V11_1));
    let id = if let Some(id) = text.strip_prefix(b"chardev:") {
        id.to_vec()
    } else {
        let Some(shorthand) = chardev::parse(text) else { return meaning.add(part) };
        meaning.add(shorthand.device(own.as_bytes(), &part.origin));
        own.into_bytes()
    };
    let mode: &[u8] = if part.flag == "monitor" { b"readline" } else { b"control" };
    let mut mon = Part::options("mon", &[("chardev", &id), ("mode", mode)], &part.origin);
    if part.flag == "qmp-pretty" {
        mon.set("pretty", b"on");
    }
    meaning.add(mon);
}

/// A file system and its device. (`QEMU_OPTION_virtfs`)
fn virtfs(meaning: &mut Meaning, mut part: Part) {
    let Some(tag) = part.take("mount_tag") else { return meaning.add(part) };
    let id = part.take("id").unwrap_or_else(|| tag.clone());
    let origin = part.origin.clone();
    part.flag = "fsdev";
    part.set("id", &id);
    meaning.add(part);
    let options = [("driver", &b"virtio-9p-pci"[..]), ("fsdev", &id), ("mount_tag", &tag)];
    meaning.add(Part::options("device", &options, &origin));
}

/// The keys of `-nic` that are the network card's.
const CARD: [&str; 3] = ["model", "mac", "macaddr"];

/// A back end and its card, where the card is a PCI device.
fn nic(meaning: &mut Meaning, mut part: Part, counts: &mut Counts) {
    let default = || board::of(meaning).and_then(|board| board.nic).map(|model| model.as_bytes().to_vec());
    let model = part.get("model").map(<[u8]>::to_vec).or_else(default);
    let model = model.map(|model| if model == b"virtio" { b"virtio-net-pci".to_vec() } else { model });
    let is_none = part.get("type") == Some(b"none");
    let plugs = board::of(meaning).is_some_and(|board| board.nic.is_some());
    let (Some(model), false, true) = (model, is_none, plugs) else { return meaning.add(part) };
    let origin = part.origin.clone();
    let mac = CARD.into_iter().find_map(|key| part.take(key).filter(|_| key != "model"));
    let id = part.take("id").unwrap_or_else(|| {
        let id = format!("nic{}", counts.nic).into_bytes();
        counts.nic += 1;
        id
    });
    part.flag = "netdev";
    part.set("id", &id);
    meaning.add(part);
    let mut device = Part::options("device", &[("driver", &model), ("netdev", &id)], &origin);
    if let Some(mac) = mac {
        device.set("mac", &mac);
    }
    meaning.add(device);
}

/// What can be rewritten only when all is there.
pub(super) fn whole(meaning: &mut Meaning, counts: &mut Counts) {
    nets(meaning, counts);
    accelerators(meaning);
    let drives = board::of(meaning).map(|board| board.drives);
    let is_snapshot = meaning.has("snapshot");
    let parts = std::mem::take(&mut meaning.parts);
    let mut virtio = 0;
    for mut part in parts {
        if part.flag == "snapshot" {
            continue;
        }
        if part.flag != "drive" {
            meaning.parts.push(part);
            continue;
        }
        if is_snapshot && part.get("snapshot").is_none() {
            part.set("snapshot", b"on");
        }
        let is_virtio =
            part.is("drive", "if", "virtio") || (part.get("if").is_none() && drives == Some(Drives::Virtio));
        if !is_virtio
            || part.get("index").is_some()
                && part.get("index").is_some_and(|index| index != virtio.to_string().as_bytes())
        {
            meaning.parts.push(part);
            continue;
        }
        // The place among the drives of its kind, which is in the id too.
        part.take("index");
        part.take("if");
        let own = format!("virtio{virtio}");
        virtio += 1;
        part.set("if", b"none");
        let id = part.get("id").map(<[u8]>::to_vec);
        if id.is_none() {
            part.set("id", own.as_bytes());
        }
        let id = id.unwrap_or_else(|| own.into_bytes());
        let origin = part.origin.clone();
        meaning.parts.push(part);
        let options = [("driver", &b"virtio-blk-pci"[..]), ("drive", &id)];
        meaning.parts.push(Part::options("device", &options, &origin));
    }
}

/// One card and one back end on the hub that `-net` makes are connected with each other alone.
fn nets(meaning: &mut Meaning, counts: &mut Counts) {
    let places: Vec<usize> = (0..meaning.parts.len()).filter(|&place| meaning.parts[place].flag == "net").collect();
    let is_card = |place: &&usize| meaning.parts[**place].is("net", "type", "nic");
    let is_none = places.iter().any(|&place| meaning.parts[place].is("net", "type", "none"));
    let (cards, others): (Vec<_>, Vec<_>) = places.iter().partition::<Vec<usize>, _>(|place| is_card(place));
    let ([card], [other], false) = (&cards[..], &others[..], is_none) else { return };
    let card = meaning.parts[*card].clone();
    let mut part = meaning.parts[*other].clone();
    if board::of(meaning).is_none_or(|board| board.nic.is_none()) || card.get("netdev").is_some() {
        return;
    }
    part.flag = "nic";
    for key in CARD {
        if let Some(value) = card.get(key) {
            part.set(key, value);
        }
    }
    // What else is said of the card has no place in `-nic`.
    if card.entries().iter().any(|(key, _)| key != b"type" && !CARD.iter().any(|known| known.as_bytes() == key)) {
        return;
    }
    meaning.parts.retain(|part| part.flag != "net");
    nic(meaning, part, counts);
}

/// `-machine accel=a:b` is a list of accelerators of which the first counts that works.
fn accelerators(meaning: &mut Meaning) {
    let has_accel = meaning.has("accel");
    let Some(place) = meaning.parts.iter().position(|part| part.flag == "machine") else { return };
    if has_accel || meaning.parts[place].get("accel").is_none() {
        return;
    }
    let list = meaning.parts[place].take("accel").unwrap_or_default();
    let origin = meaning.parts[place].origin.clone();
    let parts: Vec<Part> =
        list.split(|&byte| byte == b':').map(|accel| Part::options("accel", &[("accel", accel)], &origin)).collect();
    let is_empty = meaning.parts[place].entries().is_empty();
    let at = if is_empty {
        meaning.parts.remove(place);
        place
    } else {
        place + 1
    };
    meaning.parts.splice(at..at, parts);
}
