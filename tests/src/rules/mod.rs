//! The rules: what must not be built, how each is held, and what QEMU makes of the same mistake written by hand.
//!
//! The table says what every version does; `tests/rules.rs` asks the binaries whether that is so, and `docs/rules.md` is made
//! from it.

mod render;
mod table;

pub use render::markdown;
pub use table::RULES;

use qemu_dsl::QemuVersion;
use qemu_dsl::accel::Architecture;

/// How one rule is held, and what QEMU does.
#[derive(Debug)]
pub struct Rule {
    /// Which rule of the library's.
    pub id: &'static str,
    /// Where it is found.
    pub held: Held,
    /// The same mistake by hand.
    pub twins: &'static [Twin],
}

/// Where a mistake is found.
#[derive(Debug)]
pub enum Held {
    /// By the compiler; cases in `ui-tests/ui/`, without their extension. The first one is shown.
    Compiler(&'static [&'static str]),
    /// It cannot be written: what is said last counts.
    Replaced {
        /// The file with the code.
        source: &'static str,
        /// The command that comes of it.
        command: fn() -> String,
    },
    /// At run time, before anything starts: the code, and the error that it really gives.
    RunTime {
        /// The file with the code.
        source: &'static str,
        /// Runs it.
        error: fn() -> Box<dyn std::error::Error>,
    },
}

/// A command line that makes the mistake by hand.
#[derive(Debug)]
pub struct Twin {
    /// The guest's architecture.
    pub arch: Architecture,
    /// The arguments that matter, separated by spaces; `{dir}` is a directory with the files that they name,
    /// `{long}` is 2,100 letters, and a tab stands where a space would end an argument.
    pub args: &'static str,
    /// What each version does: versions, separated by spaces, and the outcome.
    pub does: &'static [(&'static str, Does)],
}

/// What QEMU does.
#[derive(Debug, Clone, Copy)]
pub enum Does {
    /// It ends and says this.
    Rejects(&'static str),
    /// It starts, and nothing tells of the mistake.
    Accepts,
    /// It starts, and the guest boots all the same.
    Boots,
    /// It starts, and this happens to the guest.
    Loses(Loss),
}

/// What becomes of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It runs, and its console shows nothing.
    Console,
    /// It never gets as far as its agent.
    Boot,
    /// QEMU aborts when it uses its devices.
    Abort,
    /// It never gets as far as its agent, and the firmware says this for ever.
    BootWith(&'static str),
    /// Its balloon changes the template file.
    Template,
    /// It runs without the last of its kernel parameters.
    Cmdline,
}

impl Rule {
    /// Its words.
    ///
    /// # Panics
    ///
    /// When the library has no such rule.
    pub fn of(&self) -> &'static qemu_dsl::rule::Rule {
        qemu_dsl::rule::by_id(self.id).unwrap_or_else(|| panic!("no rule `{}`", self.id))
    }
}

impl Twin {
    /// What `version` does: what is said of it, or of the latest one before it.
    ///
    /// # Panics
    ///
    /// When the table says nothing of 5.2.
    pub fn outcome(&self, version: QemuVersion) -> Does {
        let said = |text: &str| {
            let (major, minor) = text.split_once('.').expect("a version in the table");
            (major.parse().expect("a number"), minor.parse().expect("a number"))
        };
        let versions = self.does.iter().flat_map(|(versions, does)| versions.split(' ').map(move |v| (said(v), does)));
        let known = versions.filter(|((major, minor), _)| version.is_at_least(*major, *minor));
        *known.max_by_key(|(version, _)| *version).expect("the table speaks of every version").1
    }
}
