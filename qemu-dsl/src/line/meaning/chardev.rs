//! The shorthands of character devices. (`qemu_chr_parse_compat`, chardev/char.c)

use crate::line::entries::unescape;

/// What a shorthand stands for.
pub(super) struct Shorthand {
    /// Whether a human monitor is on it too.
    pub(super) monitor: bool,
    /// The keys and values of `-chardev`, without the id.
    pub(super) options: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The back ends whose names stand alone.
const PLAIN: [&[u8]; 7] = [b"null", b"pty", b"msmouse", b"wctablet", b"braille", b"testdev", b"stdio"];

fn pair(key: &str, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (key.as_bytes().to_vec(), value.to_vec())
}

/// Options behind a head, as they stand in the text; the first one has the key `implied`.
fn options(text: &[u8], implied: Option<&str>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut at, mut implied, mut out) = (0, implied, Vec::new());
    while at < text.len() {
        let rest = &text[at..];
        let stop = rest.iter().position(|byte| matches!(byte, b',' | b'=')).unwrap_or(rest.len());
        let is_pair = rest.get(stop) == Some(&b'=');
        if let (false, Some(key)) = (is_pair, implied.take()) {
            let (value, end) = unescape(text, at);
            out.push(pair(key, &value));
            at = end + 1;
        } else if is_pair {
            let (value, end) = unescape(text, at + stop + 1);
            out.push((rest[..stop].to_vec(), value.into_owned()));
            at = end + 1;
        } else {
            let word = &rest[..stop];
            out.push(
                word.strip_prefix(b"no")
                    .map_or_else(|| (word.to_vec(), b"on".to_vec()), |word| (word.to_vec(), b"off".to_vec())),
            );
            at += stop + 1;
        }
    }
    out
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
