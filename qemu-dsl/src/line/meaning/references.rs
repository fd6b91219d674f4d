//! Which part uses which.

use std::collections::HashMap;

use super::{Meaning, PartValue};

/// A part's use of another one, by its id.
///
/// ```
/// use qemu_dsl::line::Line;
/// let meaning = Line::shell("-netdev user,id=n -device e1000,netdev=n -device edu,chardev=gone").meaning();
/// let references = meaning.references();
/// assert_eq!((references[0].from, references[0].key, references[0].to), (1, "netdev", Some(0)));
/// assert_eq!(references[1].to, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// The part that uses, counted in [`Meaning::parts`].
    pub from: usize,
    /// The key that names the other.
    pub key: &'static str,
    /// The id.
    pub id: Vec<u8>,
    /// The part that is used; [`None`] where none has this id.
    pub to: Option<usize>,
}

/// Which keys of a switch name what: the key, and the switches of what it can be.
const KEYS: [(&str, &str, &[&str]); 30] = [
    ("device", "drive", &["drive", "blockdev"]),
    ("device", "netdev", &["netdev", "nic", "net"]),
    ("device", "chardev", &["chardev"]),
    ("device", "rng", &["object"]),
    ("device", "memdev", &["object"]),
    ("device", "iothread", &["object"]),
    ("device", "cryptodev", &["object"]),
    ("device", "iommufd", &["object"]),
    ("device", "fsdev", &["fsdev"]),
    ("device", "tpmdev", &["tpmdev"]),
    ("device", "audiodev", &["audiodev"]),
    ("mon", "chardev", &["chardev"]),
    ("tpmdev", "chardev", &["chardev"]),
    ("netdev", "chardev", &["chardev"]),
    ("netdev", "netdev", &["netdev"]),
    ("numa", "memdev", &["object"]),
    ("machine", "memory-backend", &["object"]),
    ("machine", "confidential-guest-support", &["object"]),
    ("machine", "memory-encryption", &["object"]),
    ("machine", "igvm-cfg", &["object"]),
    ("machine", "pflash0", &["blockdev", "drive"]),
    ("machine", "pflash1", &["blockdev", "drive"]),
    ("object", "netdev", &["netdev"]),
    ("object", "chardev", &["chardev"]),
    ("object", "tls-creds", &["object"]),
    ("blockdev", "file", &["blockdev"]),
    ("blockdev", "backing", &["blockdev"]),
    ("blockdev", "throttle-group", &["object"]),
    ("vnc", "audiodev", &["audiodev"]),
    ("semihosting-config", "chardev", &["chardev"]),
];

impl Meaning {
    /// Which part uses which: devices their drives, network back ends, character devices and objects, and so on. The bus of a device
    /// is none of them, since most buses are nobody's id.
    pub fn references(&self) -> Vec<Reference> {
        let mut index = HashMap::new();
        for (place, part) in self.parts.iter().enumerate() {
            let node = part.get("node-name").filter(|_| part.flag == "drive").map(|id| ("blockdev", id));
            for named in [part.id().map(|id| (part.flag, id)), node].into_iter().flatten() {
                index.entry(named).or_insert(place);
            }
        }
        let to = |id, flags: &[&'static str]| flags.iter().find_map(|flag| index.get(&(*flag, id)).copied());
        let mut found = Vec::new();
        for (from, part) in self.parts.iter().enumerate() {
            for (_, key, flags) in KEYS.iter().filter(|(flag, ..)| *flag == part.flag) {
                if let Some(id) = part.get(key).filter(|id| !id.is_empty()) {
                    found.push(Reference { from, key, id: id.to_vec(), to: to(id, flags) });
                }
            }
            if let ("serial" | "parallel" | "debugcon" | "gdb", PartValue::Text(text)) = (part.flag, &part.value)
                && let Some(id) = text.strip_prefix(b"chardev:")
            {
                found.push(Reference { from, key: "chardev", id: id.to_vec(), to: to(id, &["chardev"]) });
            }
        }
        found
    }
}
