//! The guest's console on the user's terminal.

use std::io::{self, Write as _};

use qemu_dsl::text::Visible;

/// How much of a console is shown: as much as its log holds. A guest that writes without an end would fill whatever file the output
/// goes to.
const SHOWN: usize = 16 << 20;

/// Writes what the guest says, with everything that a terminal would obey made visible: the guest is not trusted.
pub(crate) fn show() -> impl FnMut(&[u8]) + Send {
    let mut console = Console { visible: Visible::new(), room: Some(SHOWN) };
    move |chunk| {
        let text = console.visible.show(chunk);
        console.room = write(&text, console.room);
    }
}

struct Console {
    visible: Visible,
    /// How much may be shown still; [`None`] once it was said that no more is.
    room: Option<usize>,
}

impl Drop for Console {
    fn drop(&mut self) {
        let end = self.visible.finish();
        self.room = write(&end, self.room);
    }
}

/// Writes as much as there is room for; the room that is left.
fn write(text: &str, room: Option<usize>) -> Option<usize> {
    let room = room?;
    let part = &text[..text.floor_char_boundary(room)];
    let mut out = io::stdout().lock();
    // A closed standard output does not end the machine.
    let _ = out.write_all(part.as_bytes()).and_then(|()| out.flush());
    if part.len() == text.len() {
        return Some(room - part.len());
    }
    crate::tell("the console has said 16 MiB: the rest is not shown");
    None
}
