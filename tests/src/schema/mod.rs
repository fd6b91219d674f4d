//! Whether QEMU knows what the library says: each key of each derived struct, in each version, as the binary itself tells.

mod ask;
mod qapi;
mod report;

use std::collections::HashMap;

use qemu_dsl::QemuVersion;
use qemu_dsl::accel::Architecture;
use qemu_dsl::catalogue::{Described, SCHEMAS};
use qemu_dsl::machine::ALL;
use qemu_dsl::opts::{FieldKind, FieldSchema, Head, Key, OptType};

pub use ask::Binary;
pub use report::markdown;

/// One thing that the library can say: a head, or a key under a head.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Said {
    /// The flag.
    pub flag: &'static str,
    /// The head: `virtio-blk-pci`, `stream`; empty where there is none.
    pub head: String,
    /// The key; empty for the head itself.
    pub key: String,
}

/// What a binary says to it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked for.
    pub said: Said,
    /// What the library writes there.
    pub kind: Option<OptType>,
    /// Whether the library says that this version has it.
    pub expected: bool,
    /// The type that QEMU has for it; [`None`] where it has no such thing.
    pub found: Option<String>,
    /// How it was asked.
    pub how: &'static str,
}

impl Finding {
    /// What is wrong, if anything is.
    pub fn fault(&self) -> Option<String> {
        let Said { flag, head, key } = &self.said;
        match (&self.found, self.expected) {
            (None, true) => Some(format!("{flag} {head} has no `{key}`, and the library writes it ({})", self.how)),
            (Some(_), false) => {
                Some(format!("{flag} {head} has `{key}`, and the library says that it does not ({})", self.how))
            }
            (Some(found), true) => {
                let kind = self.kind.filter(|kind| !agrees(*kind, found))?;
                Some(format!("{flag} {head},{key} is a `{found}`, and the library writes {kind:?}"))
            }
            (None, false) => None,
        }
    }
}

/// Whether text of `kind` is right for QEMU's type.
fn agrees(kind: OptType, found: &str) -> bool {
    const TEXT: &[&str] = &["str", "string"];
    const NUMBER: &[&str] =
        &["int", "number", "size", "uint8", "uint16", "uint32", "uint64", "int32", "int64", "u8", "u16", "u32", "u64"];
    let is = |words: &[&str]| words.contains(&found);
    match kind {
        OptType::Bool => is(&["bool", "boolean", "OnOffAuto", "on|off|auto"]),
        OptType::Integer => is(NUMBER),
        OptType::Size => is(&["size", "int", "uint64"]),
        // One of several forms may be text.
        OptType::Text | OptType::Path => found.split('|').any(|found| TEXT.contains(&found)),
        OptType::Reference("id") => is(TEXT) || found.starts_with("link<"),
        OptType::Reference(what) => {
            is(TEXT) || found == what || found == format!("link<{what}>") || found.starts_with(&format!("link<{what}-"))
        }
        // An enum's words are known in some places only.
        OptType::OneOf(words) => {
            let known: Vec<&str> = found.split('|').collect();
            is(TEXT) || found.ends_with("Level") || known.len() > 1 && words.iter().all(|word| known.contains(word))
        }
        _ => false,
    }
}

/// Asks a binary about everything that the library can say to it.
pub fn findings(binary: &mut Binary<'_>) -> Vec<Finding> {
    let mut out: Vec<Finding> = Vec::new();
    let arch = binary.arch();
    for described in SCHEMAS.iter().filter(|described| is_for(described, arch)) {
        for (head, since_head, fields) in groups(described, arch) {
            group(binary, described.flag, &head, since_head.as_ref(), &fields, &mut out);
        }
    }
    out.sort_by(|a, b| a.said.cmp(&b.said));
    out.dedup_by(|a, b| a.said == b.said);
    out
}

/// Whether guests of this architecture have it. HVF is not compiled into binaries for Linux.
fn is_for(described: &Described, arch: Architecture) -> bool {
    let machine = ALL.iter().copied().flatten().find(|row| row.of.split("::").next() == Some(described.of));
    if let Some(row) = machine {
        return row.architecture == arch;
    }
    match described.of {
        "Haswell" => arch == Architecture::X86_64,
        "CortexA57" => arch == Architecture::Aarch64,
        "Rv64" => arch == Architecture::Riscv64,
        // There by version, which `tests/machines.rs` looks at.
        "Max" if arch == Architecture::Riscv64 => false,
        // Debian's KVM binaries are those of the host's own architecture.
        "Kvm" | "Host" => arch.qemu_binary().ends_with(std::env::consts::ARCH),
        "Hvf" => false,
        _ => true,
    }
}

type Fields = Vec<(Key, String, OptType)>;

/// The heads of a type, and the fields under each, with flattened ones in place.
fn groups(described: &Described, arch: Architecture) -> Vec<(String, Option<Key>, Fields)> {
    let mut fields = Vec::new();
    let mut head = heads(described.schema.head);
    flat(described.schema.fields(), "", &mut fields, &mut head);
    let key_of = |name: &str| match name {
        // The two transports of a virtio device are two device types.
        "" if described.flag == "-machine" => {
            vec![(if arch == Architecture::X86_64 { "pc" } else { "virt" }).to_owned()]
        }
        "" if described.of == "Mux" => vec!["socket".to_owned()],
        name => vec![name.to_owned()],
    };
    match described.schema.head {
        Head::Virtio(base) => ["device", "pci"].map(|bus| (format!("{base}-{bus}"), None, fields.clone())).into(),
        Head::Variants { tag: None, variants } => variants
            .iter()
            .map(|variant| {
                let mut fields = Vec::new();
                flat(variant.fields(), "", &mut fields, &mut Vec::new());
                (variant.key.name.to_owned(), Some(variant.key), fields)
            })
            .collect(),
        _ => {
            let name = head.first().copied().unwrap_or_default();
            key_of(name).into_iter().map(|name| (name, None, fields.clone())).collect()
        }
    }
}

fn heads(head: Head) -> Vec<&'static str> {
    match head {
        Head::Implied(name) => vec![name],
        _ => Vec::new(),
    }
}

fn flat(fields: impl Iterator<Item = FieldSchema>, prefix: &str, out: &mut Fields, head: &mut Vec<&'static str>) {
    for field in fields {
        match field.kind {
            FieldKind::Value(kind) => out.push((field.key, format!("{prefix}{}", field.key.name), kind)),
            FieldKind::Flatten(schema) => {
                let prefix = format!("{prefix}{}", field.key.name);
                head.extend(heads(schema.head));
                if let Head::Variants { tag: Some(tag), variants } = schema.head {
                    let words: Vec<&'static str> = variants.iter().map(|variant| variant.key.name).collect();
                    out.push((Key::new(tag), format!("{prefix}{tag}"), OptType::OneOf(words.leak())));
                    for variant in variants {
                        flat(variant.fields(), &prefix, out, head);
                    }
                }
                flat(schema.fields(), &prefix, out, head);
            }
            // The library has none yet: each element would be a key of its own.
            _ => {}
        }
    }
}

fn has(key: &Key, version: QemuVersion) -> bool {
    key.since.is_none_or(|((major, minor), _)| version.is_at_least(major, minor))
        && key.until.is_none_or(|((major, minor), _)| version.is_at_most(major, minor))
}

fn group(
    binary: &mut Binary<'_>,
    flag: &'static str,
    head: &str,
    head_key: Option<&Key>,
    fields: &Fields,
    out: &mut Vec<Finding>,
) {
    let version = binary.qemu().version;
    let (head_found, how_head, known) = about_head(binary, flag, head);
    let head_expected = head_key.is_none_or(|key| has(key, version));
    let said = |key: &str| Said { flag, head: head.to_owned(), key: key.to_owned() };
    if !head.is_empty() {
        let found = head_found.then(|| "a name".to_owned());
        out.push(Finding { said: said(""), kind: None, expected: head_expected, found, how: how_head });
    }
    for (key, name, kind) in fields {
        let (found, how) = about_key(binary, flag, head, name, *kind, known.as_ref());
        let expected = head_expected && has(key, version);
        out.push(Finding { said: said(name), kind: Some(*kind), expected, found, how });
    }
}

type Properties = HashMap<String, String>;

/// Whether the head exists, and the properties that its type has.
fn about_head(binary: &mut Binary<'_>, flag: &str, head: &str) -> (bool, &'static str, Option<Properties>) {
    let of = |properties: Option<Properties>, how| (properties.is_some(), how, properties);
    match flag {
        "-device" => of(binary.device(head), "device-list-properties"),
        "-object" => of(binary.object(head), "qom-list-properties"),
        "-accel" => of(binary.object(&format!("{head}-accel")), "qom-list-properties"),
        "-machine" => of(binary.machine(head), "qom-list"),
        "-cpu" => (binary.cpu(head), "query-cpu-definitions", None),
        "-netdev" => (binary.qapi().has_variant("netdev_add", head), "query-qmp-schema", None),
        "-chardev" => {
            let more = match head {
                "socket" => format!(",path={}/c.sock,server=on,wait=off", binary.dir().display()),
                "file" => ",path=/dev/null".to_owned(),
                _ => String::new(),
            };
            let chardev = format!("{head},id=c{more}");
            (binary.starts_with(&["-M", "none", "-chardev", &chardev]), "started with it", None)
        }
        // `-sandbox on`
        _ => (binary.option("sandbox", "enable").is_some(), "query-command-line-options", None),
    }
}

/// The type of a key, and how it was found.
fn about_key(
    binary: &Binary<'_>,
    flag: &str,
    head: &str,
    key: &str,
    kind: OptType,
    known: Option<&Properties>,
) -> (Option<String>, &'static str) {
    let qapi = |command, tags: &[(&str, &str)]| (binary.qapi().argument(command, key, tags), "query-qmp-schema");
    let listed = |group| (binary.option(group, key), "query-command-line-options");
    match flag {
        // `device_add` itself takes the bus.
        "-device" if key == "bus" => (Some("str".to_owned()), "device_add"),
        "-netdev" => qapi("netdev_add", &[("type", head), ("addr.type", "unix")]),
        // A backing file is described as in `blockdev-add`, for `-drive` too.
        "-blockdev" | "-drive" if flag == "-blockdev" || key.starts_with("backing") => qapi(
            "blockdev-add",
            &[
                ("driver", "qcow2"),
                ("file.driver", "file"),
                ("backing.driver", "qcow2"),
                ("backing.file.driver", "file"),
            ],
        ),
        "-chardev" => listed("chardev"),
        "-sandbox" => listed("sandbox"),
        "-name" => listed("name"),
        "-mon" => listed("mon"),
        "-smp" => listed("smp-opts"),
        "-drive" => match listed("drive") {
            (None, _) => started(binary, key, kind),
            found => found,
        },
        _ => (known.and_then(|known| known.get(key)).cloned(), "its properties"),
    }
}

/// Legacy names of `-drive`, which no introspection tells of: QEMU starts with the key, and does not with the key misspelt.
fn started(binary: &Binary<'_>, key: &str, kind: OptType) -> (Option<String>, &'static str) {
    let (value, name) = match kind {
        OptType::Bool => ("on", "bool"),
        OptType::Integer => ("1000", "int"),
        OptType::OneOf(words) => (words[0], "str"),
        _ => return (None, "no value to try"),
    };
    // A burst limit needs the limit itself.
    let limit = key.strip_suffix("_max").map_or_else(String::new, |limit| format!(",{limit}=1"));
    let drive = |key: &str| format!("file=/dev/null,format=raw,if=none,id=d{limit},{key}={value}");
    let starts = |drive: String| binary.starts_with(&["-M", "none", "-drive", &drive]);
    let known = starts(drive(key)) && !starts(drive(&format!("{key}x")));
    (known.then(|| name.to_owned()), "started with it")
}
