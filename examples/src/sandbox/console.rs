//! The guest's console on the user's terminal.

use std::io::{self, Write as _};

use qemu_dsl::text::Visible;

/// Writes what the guest says, with everything that a terminal would obey made visible: the guest is not trusted.
pub(crate) fn show() -> impl FnMut(&[u8]) + Send {
    let mut console = Console(Visible::new());
    move |chunk| write(&console.0.show(chunk))
}

struct Console(Visible);

impl Drop for Console {
    fn drop(&mut self) {
        write(&self.0.finish());
    }
}

fn write(shown: &str) {
    let mut out = io::stdout().lock();
    // A closed standard output does not end the machine.
    let _ = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
}
