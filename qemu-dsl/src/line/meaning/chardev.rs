//! The shorthands of character devices. (`qemu_chr_parse_compat`, chardev/char.c)

use super::{Origin, Part, PartValue};
use crate::line::Entries;

/// What a shorthand stands for.
pub(super) struct Shorthand {
    /// Whether a human monitor is on it too.
    pub(super) monitor: bool,
    /// The keys and values of `-chardev`, without the id.
    options: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Shorthand {
    /// The character device.
    pub(super) fn device(self, id: &[u8], origin: &Origin) -> Part {
        let mut options = vec![pair("id", id)];
        options.extend(self.options);
        Part { flag: "chardev", value: PartValue::Options(options), origin: origin.clone() }
    }
}

/// The back ends whose names stand alone.
const PLAIN: [&[u8]; 7] = [b"null", b"pty", b"msmouse", b"wctablet", b"braille", b"testdev", b"stdio"];

fn pair(key: &str, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (key.as_bytes().to_vec(), value.to_vec())
}

/// Options behind a head, as they stand in the text; the first one has the key `implied`.
fn options(text: &[u8], implied: Option<&'static str>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    Entries::opts(text, implied).map(|entry| (entry.key.into_owned(), entry.value.into_owned()))
}

/// What the text stands for; [`None`] where that is a chardev by its id, nothing, or not known.
pub(super) fn parse(text: &[u8]) -> Option<Shorthand> {
    let (monitor, text) = text.strip_prefix(b"mon:").map_or((false, text), |text| (true, text));
    let mut out = Vec::new();
    if monitor {
        out.push(pair("mux", b"on"));
        if text == b"stdio" {
            out.push(pair("signal", b"off"));
        }
    }
    let prefixed = |prefix: &str| text.strip_prefix(prefix.as_bytes());
    if PLAIN.contains(&text) {
        out.push(pair("backend", text));
    } else if text == b"vc" {
        out.push(pair("backend", b"vc"));
    } else if let Some(path) = prefixed("file:") {
        out.extend([pair("backend", b"file"), pair("path", path)]);
    } else if let Some(path) = prefixed("pipe:") {
        out.extend([pair("backend", b"pipe"), pair("path", path)]);
    } else if let Some(rest) = prefixed("unix:") {
        out.push(pair("backend", b"socket"));
        out.extend(options(rest, Some("path")));
    } else if let Some((kind, rest)) =
        ["tcp", "telnet", "tn3270", "websocket"].iter().find_map(|kind| Some((*kind, prefixed(&format!("{kind}:"))?)))
    {
        let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
        let colon = memchr::memrchr(b':', &rest[..end])?;
        let (host, port) = (&rest[..colon], &rest[colon + 1..end]);
        out.extend([pair("backend", b"socket"), pair("host", host), pair("port", port)]);
        out.extend(options(rest.get(end + 1..).unwrap_or_default(), None));
        if kind != "tcp" {
            out.push(pair(kind, b"on"));
        }
    } else if text.starts_with(b"/dev/parport") || text.starts_with(b"/dev/ppi") {
        out.extend([pair("backend", b"parallel"), pair("path", text)]);
    } else if text.starts_with(b"/dev/") {
        out.extend([pair("backend", b"serial"), pair("path", text)]);
    } else {
        return None;
    }
    Some(Shorthand { monitor, options: out })
}
