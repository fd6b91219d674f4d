//! The guest's console on the user's terminal.

use std::io::{self, Write as _};

/// Writes what the guest says, with everything that a terminal would obey made visible: the guest is not trusted.
pub(crate) fn show(chunk: &[u8]) {
    let mut out = io::stdout().lock();
    let mut shown = Vec::with_capacity(chunk.len());
    for &byte in chunk {
        match byte {
            b'\n' | b'\t' | b' '..=b'~' | 0x80.. => shown.push(byte),
            b'\r' => {}
            // As `cat -v` does: ESC is ^[.
            _ => shown.extend_from_slice(&[b'^', byte ^ 0x40]),
        }
    }
    // A closed standard output does not end the machine.
    let _ = out.write_all(&shown).and_then(|()| out.flush());
}
