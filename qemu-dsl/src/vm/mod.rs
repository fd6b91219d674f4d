//! [`Vm`]: the typestate builder.

mod any;
mod board;
mod boot;
mod builder;
mod checks;
mod console;
mod error;
mod explain;
pub(crate) mod globals;
mod inner;
mod parts;
mod size;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};

pub use any::AnyVm;
pub use builder::{BuildChain, Vm};
pub use console::{
    AnyConsole, Console, ConsoleVacant, MayHaveConsole, NoConsole, OnIsaSerial, OnPl011, OnUart, OnVirtconsole,
};
pub use error::{BuildError, BuildErrors};
pub use explain::{Explained, Reason};
pub use size::{IntoMemory, IntoSmp, Smp, SmpError};

use crate::QemuVersion;

/// A wrapper: the words that stand before QEMU's own command, and why.
///
/// ```
/// use qemu_dsl::prelude::*;
/// use qemu_dsl::vm::{Target, Wrapper};
/// let nice = [Wrapper::new(&["nice", "-n", "5"], "it is in no hurry")];
/// let target = Target::default().wrappers(&nice);
/// let vm = Vm::for_target(&target, Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// assert!(vm.build()?.to_string().starts_with("nice -n 5 qemu-system-x86_64 "));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Wrapper<'a> {
    words: Words<'a>,
    why: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Words<'a> {
    Text(&'a [&'a str]),
    Os(&'a [OsString]),
}

impl<'a> Wrapper<'a> {
    /// A wrapper of these words.
    pub const fn new(words: &'a [&'a str], why: &'static str) -> Self {
        Self { words: Words::Text(words), why }
    }

    /// The same with words that may hold paths.
    pub const fn os(words: &'a [OsString], why: &'static str) -> Self {
        Self { words: Words::Os(words), why }
    }

    fn words(self) -> impl Iterator<Item = &'a OsStr> {
        let (text, os): (&[&str], &[OsString]) = match self.words {
            Words::Text(words) => (words, &[]),
            Words::Os(words) => (&[], words),
        };
        text.iter().map(OsStr::new).chain(os.iter().map(OsString::as_os_str))
    }
}

/// Which QEMU a VM is built for.
///
/// ```
/// use qemu_dsl::QemuVersion;
/// use qemu_dsl::prelude::*;
/// use qemu_dsl::vm::Target;
///
/// let target = Target::default().binary("/opt/qemu/bin/qemu-system-x86_64").version(QemuVersion::new(10, 0, 0));
/// let vm = Vm::for_target(&target, Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// assert!(vm.build()?.to_string().starts_with("/opt/qemu/bin/qemu-system-x86_64 "));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    binary: Option<&'a OsStr>,
    version: Option<QemuVersion>,
    wrappers: &'a [Wrapper<'a>],
    explain: bool,
}

impl<'a> Target<'a> {
    /// The binary; without this, `qemu-system-<architecture>` from `PATH`.
    #[must_use]
    pub fn binary(mut self, binary: &'a (impl AsRef<OsStr> + ?Sized)) -> Self {
        self.binary = Some(binary.as_ref());
        self
    }

    /// Its version: options that it lacks are errors then.
    #[must_use]
    pub const fn version(mut self, version: QemuVersion) -> Self {
        self.version = Some(version);
        self
    }

    /// Programs that start QEMU, outermost first, such as `unshare ... --`.
    #[must_use]
    pub const fn wrappers(mut self, wrappers: &'a [Wrapper<'a>]) -> Self {
        self.wrappers = wrappers;
        self
    }

    /// Collects the reason of each option, for [`Vm::build_explained`].
    #[must_use]
    pub const fn explained(mut self) -> Self {
        self.explain = true;
        self
    }
}
