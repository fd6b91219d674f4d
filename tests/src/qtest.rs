//! Reading QEMU's `fw_cfg` device over the qtest protocol: what a guest's firmware would be told, without a guest.
//! (QEMU documentation, "QEMU Firmware Configuration (`fw_cfg`) Device", "`QTest` Protocol")

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

/// A connection to `-qtest`, on a machine with the I/O ports of `pc`.
#[derive(Debug)]
pub struct Qtest(BufReader<UnixStream>);

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const FILE_DIRECTORY: u16 = 0x19;

impl Qtest {
    /// Over a connected socket.
    pub fn new(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// # Panics
    ///
    /// When QEMU does not answer `OK`.
    fn ask(&mut self, command: &str) -> String {
        writeln!(self.0.get_mut(), "{command}").expect("QEMU reads");
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).expect("QEMU answers"), 0, "QEMU ended at `{command}`");
            if let Some(answer) = line.strip_prefix("OK") {
                return answer.trim().to_owned();
            }
            assert!(line.starts_with("IRQ"), "`{command}`: {line}");
        }
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let byte = |answer: String| u8::from_str_radix(answer.trim_start_matches("0x"), 16).expect("a byte");
        (0..count).map(|_| byte(self.ask(&format!("inb {DATA:#x}")))).collect()
    }

    fn select(&mut self, item: u16) {
        self.ask(&format!("outw {SELECTOR:#x} {item:#x}"));
    }

    /// All files: names and contents.
    ///
    /// # Panics
    ///
    /// When the directory makes no sense.
    pub fn files(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
        self.select(FILE_DIRECTORY);
        let number = |bytes: &[u8]| bytes.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let count = number(&self.read(4));
        let entries: Vec<Vec<u8>> = (0..count).map(|_| self.read(64)).collect();
        let mut files = Vec::new();
        for entry in entries {
            let name = entry[8..].split(|byte| *byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            if wanted(&name) {
                self.select(u16::try_from(number(&entry[4..6])).expect("a selector"));
                files.push((name, self.read(number(&entry[..4]))));
            }
        }
        files
    }
}
