//! Values that option syntaxes get wrong.

use std::collections::BTreeSet;

/// Texts that a value could smuggle in, were it not escaped.
const INJECTIONS: &[&str] = &[
    ",id=evil",
    ",,id=evil",
    ",,,id=evil",
    "x,server=off",
    "x,path=/etc/passwd",
    "x,if=ide",
    ",readonly=on,x",
    "a,mux=on",
    "=",
    "==",
    "a=b",
    "a=b,c=d",
    ",",
    ",,",
    ",,,",
    ",,,,",
    "id=evil",
    "nobus",
    "on",
    "off",
    "-device",
    "--",
    "-",
    ".",
    "..a",
    "a.b.c",
    "0",
    "'",
    "\"",
    "`id`",
    "$(id)",
    "\\",
    "\\,",
    "\\,,",
    "a\\=b",
    "%s%n",
    "{\"a\":1}",
    "json:{}",
    "nbd:x",
    "fat:x",
    "unix:x",
    "tcp:1",
    "x;y",
    "x|y",
    "x&y",
    "*",
    "?",
    "~",
    "#",
    " ",
    "  ",
    " a",
    "a ",
    "\t",
    "\n",
    "a\nb",
    "\r\n",
    "\u{1b}[31m",
    "\u{7f}",
    "ä",
    "日本語",
    "🦀",
    "\u{202e}a",
    "\u{0}",
];

/// Pieces that generated values are made of.
const PIECES: &[&[u8]] = &[
    b",",
    b",",
    b",,",
    b"=",
    b"a",
    b"b",
    b"id=",
    b" ",
    b"\n",
    b"\"",
    b"'",
    b"-",
    b".",
    b"\\",
    "é".as_bytes(),
    "日".as_bytes(),
    b"\xff",
    b"\xc3",
    b"\x80",
    b"0",
    b"path",
    b"on",
    b":",
    b"%",
    b"\x01",
];

/// `count` different values of at most `max` bytes, without NUL and without `/`; always the same ones for a seed.
pub fn values(seed: u64, count: usize, max: usize) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut out: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut add = |value: Vec<u8>| {
        // A file cannot be called `.` or `..`.
        let fits = !value.is_empty() && value.len() <= max && value != b"." && value != b"..";
        if fits && !value.contains(&0) && !value.contains(&b'/') {
            out.insert(value);
        }
        out.len()
    };
    for text in INJECTIONS {
        add(text.as_bytes().to_vec());
        add(format!("a{text}").into_bytes());
        add(format!("{text}z").into_bytes());
    }
    // A comma in every position, alone and with its neighbours.
    for len in 1..=12 {
        for at in 0..len {
            for mark in [b',', b'=', b'\n', b'-'] {
                let mut value = vec![b'x'; len];
                value[at] = mark;
                add(value.clone());
                value[len - 1 - at] = b',';
                add(value);
            }
        }
    }
    for fill in [b',', b'x', b'=', 0xff] {
        add(vec![fill; max]);
        add(vec![fill; max - 1]);
    }
    loop {
        let pieces = random.usize(1..=12);
        let value: Vec<u8> = (0..pieces).flat_map(|_| PIECES[random.usize(..PIECES.len())]).copied().collect();
        if add(value) >= count {
            return out.into_iter().take(count).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_asked_for_and_of_every_kind() {
        let values = values(1, 3000, 100);
        assert_eq!(values.len(), 3000);
        for wanted in [&b","[..], b",id=evil", b"a=b", b"\xff", b"-", "日本語".as_bytes(), b"x,xxxx"] {
            assert!(values.iter().any(|value| value == wanted), "{wanted:?}");
        }
        assert!(values.iter().any(|value| value.len() == 100));
    }
}
