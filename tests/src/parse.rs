//! An independent reading of QEMU's option text, written from QEMU's documentation and from what binaries were seen to do:
//! the tests hold the library's serializer against it.

/// An argument: the word at its start, if it has no `=`, and the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The first word.
    pub head: Option<Vec<u8>>,
    /// The options, in order.
    pub options: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parsed {
    /// The value of an option, as text.
    pub fn get(&self, key: &str) -> Option<String> {
        let found = self.options.iter().rev().find(|(name, _)| name == key.as_bytes());
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// The head, as text.
    pub fn head(&self) -> String {
        String::from_utf8_lossy(self.head.as_deref().unwrap_or_default()).into_owned()
    }
}

/// Splits at single commas; `,,` is a comma of the value.
///
/// ```
/// let parsed = tests::parse::parse(b"virtio-blk-pci,drive=a,,b,num-queues=1");
/// assert_eq!(parsed.head(), "virtio-blk-pci");
/// assert_eq!(parsed.get("drive").as_deref(), Some("a,b"));
/// ```
pub fn parse(text: &[u8]) -> Parsed {
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b',' && bytes.next_if_eq(&b',').is_none() {
            pieces.push(Vec::new());
        } else if let Some(piece) = pieces.last_mut() {
            piece.push(byte);
        }
    }
    let mut parsed = Parsed { head: None, options: Vec::new() };
    for (index, piece) in pieces.into_iter().enumerate() {
        match piece.iter().position(|&byte| byte == b'=') {
            Some(at) => parsed.options.push((piece[..at].to_vec(), piece[at + 1..].to_vec())),
            None if index == 0 => parsed.head = Some(piece),
            None => parsed.options.push((piece, b"on".to_vec())),
        }
    }
    parsed
}

/// The values of all arguments behind `flag`.
pub fn values<'a>(argv: &'a [String], flag: &str) -> Vec<&'a str> {
    argv.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1].as_str()).collect()
}
