//! Programs that this process starts: none outlives its owner, and nothing that came of it does.
//!
//! Probes and launches start everything through here.

mod family;
mod limits;
mod output;
mod spawn;
mod watch;
mod zombie;

pub(crate) use family::{is_visible, peer};
pub use limits::{CONFINED_OOM_SCORE, CONFINED_OPEN_FILES, Limits};
pub use output::Tap;
pub(crate) use output::{Output, create};
pub(crate) use spawn::{Environment, Program};
pub(crate) use watch::{Alive, Target, Watch};
