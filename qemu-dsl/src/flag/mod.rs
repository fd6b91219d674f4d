//! QEMU's switches, as data: one row each.
//!
//! ```
//! use qemu_dsl::QemuVersion;
//! use qemu_dsl::flag::{Flag, Repeat, Syntax};
//!
//! let smp = Flag::named("smp").unwrap();
//! assert_eq!(smp.repeat, Repeat::Merge);
//! // QEMU changed its parser in between: a word without `=` is refused since then.
//! assert_eq!(smp.syntax(Some(QemuVersion::new(5, 2, 0))), Syntax::Opts(Some("cpus")));
//! assert_eq!(smp.syntax(Some(QemuVersion::new(7, 2, 0))), Syntax::Keyval(Some("cpus")));
//! assert_eq!(Flag::named("no-acpi").unwrap().exists_in(QemuVersion::new(10, 0, 0)), Some(false));
//! ```
//!
//! The rows are those of the `x86_64`, `aarch64` and `riscv64` emulators of [four releases](Release). Which of them have a switch,
//! whether it takes an argument, by which parser it is read and on which targets it works is asked of the binaries
//! (`tests/tests/flags.rs`), so a row that is wrong does not stay unnoticed. Of the versions between two releases that differ nothing is said.

mod table;

use crate::QemuVersion;
use crate::accel::Architecture;

pub use table::FLAGS;

/// The releases of QEMU that were asked.
///
/// ```
/// use qemu_dsl::flag::Release;
/// assert!(Release::V5_2 < Release::V11_1);
/// assert_eq!(Release::V7_2.version().to_string(), "7.2.0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// QEMU 5.2.
    V5_2,
    /// QEMU 7.2.
    V7_2,
    /// QEMU 10.0.
    V10_0,
    /// QEMU 11.1.
    V11_1,
}

impl Release {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::V5_2, Self::V7_2, Self::V10_0, Self::V11_1];

    /// Its number.
    pub const fn version(self) -> QemuVersion {
        match self {
            Self::V5_2 => QemuVersion::new(5, 2, 0),
            Self::V7_2 => QemuVersion::new(7, 2, 0),
            Self::V10_0 => QemuVersion::new(10, 0, 0),
            Self::V11_1 => QemuVersion::new(11, 1, 0),
        }
    }

    /// The last one that is not newer than `version`: the oldest of all for versions before that.
    pub(crate) fn before(version: QemuVersion) -> Self {
        let older = |release: &&Self| {
            let at = release.version();
            version.is_at_least(at.major, at.minor)
        };
        *Self::ALL.iter().rev().find(older).unwrap_or(&Self::V5_2)
    }

    /// Whether `version` is this very release.
    fn is(self, version: QemuVersion) -> bool {
        (version.major, version.minor) == (self.version().major, self.version().minor)
    }
}

/// How QEMU reads a switch's argument. The text in it is the key that the first word is the value of, where it has no `=`.
///
/// ```
/// use qemu_dsl::flag::{Flag, Syntax};
/// assert_eq!(Flag::named("device").unwrap().syntax(None), Syntax::Opts(Some("driver")));
/// assert_eq!(Flag::named("kernel").unwrap().syntax(None), Syntax::Text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Syntax {
    /// It takes no argument.
    None,
    /// The argument is one text: a path, a number, a list of the switch's own.
    Text,
    /// `key=value,...`, where a word alone is a boolean: `snapshot`, `nowait`. (QEMU, `util/qemu-option.c`)
    Opts(Option<&'static str>),
    /// `key=value,...`, where a dot in a key leads into a structure, and a word alone is a mistake. (`util/keyval.c`)
    Keyval(Option<&'static str>),
    /// `-netdev`: as `Opts`, and as `Keyval` for the types that came later, `stream` and `dgram`.
    Netdev,
    /// `-display`: as `Keyval`, but `vnc=` and all behind it is what `-vnc` takes.
    Display,
    /// A character device's shorthand: `stdio`, `unix:path,server=on`, `mon:pty`, `chardev:id`.
    Chardev,
    /// A CPU model, then features: `host,+x2apic,pmu=off`.
    Cpu,
    /// `driver.property=value`, or `Opts`.
    Global,
    /// `group.id.key=value`.
    Set,
}

/// What a switch means that is there more than once.
///
/// ```
/// use qemu_dsl::flag::{Flag, Repeat};
/// assert_eq!(Flag::named("kernel").unwrap().repeat, Repeat::Last);
/// assert_eq!(Flag::named("device").unwrap().repeat, Repeat::List);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same as once: it has no argument.
    Same,
    /// The last one counts.
    Last,
    /// The keys come together, and of one key the last value counts.
    Merge,
    /// Each one adds something.
    List,
    /// The second one is refused.
    Once,
}

/// On which targets a switch works. Elsewhere QEMU knows it and refuses it.
///
/// ```
/// use qemu_dsl::flag::{Flag, Targets};
/// assert_eq!(Flag::named("kernel").unwrap().targets, Targets::All);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targets {
    /// On all.
    All,
    /// On these, of the three that were asked; the release is the first in which it works there.
    Some(&'static [(Architecture, Release)]),
    /// That depends on what QEMU was built with.
    Build,
}

/// One switch.
///
/// ```
/// use qemu_dsl::flag::Flag;
/// let flag = Flag::named("enable-kvm").unwrap();
/// assert!(!flag.takes_argument());
/// assert!(Flag::named("enable-gvm").is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flag {
    /// Its name, without a hyphen. QEMU takes it with one and with two.
    pub name: &'static str,
    /// The releases that have it, first and last.
    pub releases: (Release, Release),
    /// How its argument is read, in the first release and in later ones from which on it is another way.
    syntaxes: &'static [(Release, Syntax)],
    /// The first release in which an argument that starts with `{` is JSON.
    pub json: Option<Release>,
    /// What it means to be there twice.
    pub repeat: Repeat,
    /// Where it works.
    pub targets: Targets,
    /// The switch that this one is another name of.
    pub alias_of: Option<&'static str>,
}

impl Flag {
    /// The switch of this name, without hyphens. Capitals count: `-s` and `-S` are two.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::named_bytes(name.as_bytes())
    }

    /// The name that is nearest to one that QEMU does not have, if one is near.
    pub(crate) fn nearest(name: &[u8]) -> Option<&'static str> {
        if name.len() > 30 {
            return None;
        }
        let distances = FLAGS.iter().map(|flag| (distance(name, flag.name.as_bytes()), flag.name));
        let near = |(distance, found): &(usize, &str)| *distance <= (found.len() / 3).max(1) && *distance < found.len();
        distances.min().filter(near).map(|(_, found)| found)
    }

    pub(crate) fn named_bytes(name: &[u8]) -> Option<&'static Self> {
        let index = FLAGS.binary_search_by(|flag| flag.name.as_bytes().cmp(name)).ok()?;
        Some(&FLAGS[index])
    }

    /// Whether an argument follows it. It is the same in all releases.
    pub fn takes_argument(&self) -> bool {
        self.syntaxes[0].1 != Syntax::None
    }

    /// How this version reads the argument; where none is known, how the newest release does. Between two releases it is the older one's way.
    pub fn syntax(&self, version: Option<QemuVersion>) -> Syntax {
        let release = version.map_or(Release::V11_1, Release::before);
        let known = self.syntaxes.iter().rev().find(|(since, _)| *since <= release);
        known.unwrap_or(&self.syntaxes[0]).1
    }

    /// Whether this version has the switch; [`None`] for versions before 5.2 and between two releases that differ.
    ///
    /// ```
    /// use qemu_dsl::QemuVersion;
    /// use qemu_dsl::flag::Flag;
    /// let flag = Flag::named("run-with").unwrap();
    /// assert_eq!(flag.exists_in(QemuVersion::new(7, 2, 1)), Some(false));
    /// assert_eq!(flag.exists_in(QemuVersion::new(8, 2, 0)), None);
    /// assert_eq!(flag.exists_in(QemuVersion::new(10, 0, 0)), Some(true));
    /// ```
    pub fn exists_in(&self, version: QemuVersion) -> Option<bool> {
        if !version.is_at_least(5, 2) {
            return None;
        }
        let has = |release| self.releases.0 <= release && release <= self.releases.1;
        let before = Release::before(version);
        let after = Release::ALL.into_iter().find(|release| *release > before).filter(|_| !before.is(version));
        match after {
            Some(after) if has(after) != has(before) => None,
            _ => Some(has(before)),
        }
    }

    /// Whether this version reads an argument that starts with `{` as JSON; where none is known, whether the newest release does.
    pub fn reads_json(&self, version: Option<QemuVersion>) -> bool {
        self.json.is_some_and(|since| version.is_none_or(|version| Release::before(version) >= since))
    }

    /// Whether this version reads this argument as JSON.
    pub(crate) fn is_json(&self, text: &[u8], version: Option<QemuVersion>) -> bool {
        text.first() == Some(&b'{') && self.reads_json(version)
    }

    /// Whether it works for this target, in the newest release that has it. [`None`]: nobody asked.
    pub fn works_on(&self, arch: Architecture) -> Option<bool> {
        match (self.targets, arch) {
            (Targets::Build, _) | (_, Architecture::Other(_)) => None,
            (Targets::All, _) => Some(true),
            (Targets::Some(list), _) => Some(list.iter().any(|(known, _)| *known == arch)),
        }
    }
}

/// How many bytes must be inserted, removed, replaced or swapped with their neighbour to make `b` of `a`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
