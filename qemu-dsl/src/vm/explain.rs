//! Why each argument is there.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::ops::Range;

use crate::QemuCommand;

/// The reason of one option of a command.
///
/// ```
/// use qemu_dsl::vm::Reason;
/// let reason = Reason::new("the fastest the host can do").probe("kvm: a vCPU ran").versions("since QEMU 5.2");
/// assert_eq!(reason.why(), "the fastest the host can do");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    why: Cow<'static, str>,
    probe: Option<Cow<'static, str>>,
    versions: Option<Cow<'static, str>>,
}

impl Reason {
    /// A reason in one sentence.
    pub fn new(why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: why.into(), probe: None, versions: None }
    }

    /// The fact about the host that decided it.
    #[must_use]
    pub fn probe(mut self, probe: impl Into<Cow<'static, str>>) -> Self {
        self.probe = Some(probe.into());
        self
    }

    /// The versions of QEMU that have it, where that decided something.
    #[must_use]
    pub fn versions(mut self, versions: impl Into<Cow<'static, str>>) -> Self {
        self.versions = Some(versions.into());
        self
    }

    /// Why the option is there.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The fact about the host that decided it.
    pub fn decided_by(&self) -> Option<&str> {
        self.probe.as_deref()
    }

    /// The versions of QEMU that have it.
    pub fn version_rule(&self) -> Option<&str> {
        self.versions.as_deref()
    }
}

/// The reasons of a command, collected while it is built.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    /// The index of the option's first argument, the option's flag, and the reason.
    list: Vec<(usize, &'static str, Reason)>,
}

impl Notes {
    pub(crate) fn add(&mut self, first: usize, flag: &'static str, reason: Reason) {
        self.list.push((first, flag, reason));
    }

    /// Forgets the reasons of `count` arguments that are removed.
    pub(crate) fn remove(&mut self, start: usize, count: usize) {
        self.list.retain_mut(|(first, ..)| {
            let is_removed = (start..start + count).contains(first);
            if *first >= start + count {
                *first -= count;
            }
            !is_removed
        });
    }

    /// Replaces the reason of the last option with this flag.
    pub(crate) fn replace(&mut self, flag: &'static str, reason: Reason) {
        if let Some((_, _, old)) = self.list.iter_mut().rev().find(|(_, known, _)| *known == flag) {
            *old = reason;
        }
    }
}

/// A command with the reason of each of its options.
///
/// ```
/// use qemu_dsl::prelude::*;
/// use qemu_dsl::vm::Target;
///
/// let target = Target::default().explained();
/// let mut vm = Vm::for_target(&target, Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// vm.add(VirtioBalloon::new()).because("-device", || Reason::new("memory that the guest hands back"));
/// let explained = vm.build_explained()?;
/// let (_, reason) = explained.options().find(|(option, _)| option.clone().eq(["-device", "virtio-balloon-pci"])).unwrap();
/// assert_eq!(reason.why(), "memory that the guest hands back");
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[derive(Debug, Clone)]
pub struct Explained {
    pub(crate) command: QemuCommand,
    pub(crate) notes: Notes,
}

impl Explained {
    /// The command.
    pub fn command(&self) -> &QemuCommand {
        &self.command
    }

    /// Each option, as its one or more arguments, and its reason. Together they are the whole command.
    pub fn options(&self) -> impl Iterator<Item = (impl Iterator<Item = &OsStr> + Clone, &Reason)> {
        self.notes.list.iter().enumerate().map(|(index, (first, _, reason))| {
            let end = self.notes.list.get(index + 1).map_or(self.command.len(), |(next, _, _)| *next);
            (self.arguments(*first..end), reason)
        })
    }

    fn arguments(&self, range: Range<usize>) -> impl Iterator<Item = &OsStr> + Clone {
        self.command.args().skip(range.start).take(range.len())
    }
}
