//! Handles: what a builder returns for a part that other parts refer to.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Id;

/// Which VM a handle is of. A handle used in another VM is [`OptError::ForeignHandle`](super::OptError::ForeignHandle).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VmTag(u64);

impl VmTag {
    /// A tag that no other VM of this process has.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// One part of one VM, of a builder's making.
#[derive(Debug, Clone, Copy)]
pub struct Issued {
    pub(crate) id: Id,
    pub(crate) place: PartRef,
}

/// Where a part is: in which VM, and its number among the parts there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartRef {
    pub(crate) vm: VmTag,
    pub(crate) part: u32,
}

impl Issued {
    #[cfg(test)]
    pub(crate) fn for_test(id: Id) -> Self {
        Self { id, place: PartRef { vm: VmTag::next(), part: 0 } }
    }
}

/// A kind of parts: how they are added, and what they are called.
#[derive(Debug, Clone, Copy)]
pub struct PartKind {
    /// The flag that adds one.
    pub(crate) flag: &'static str,
    /// What ids are made of.
    pub(crate) prefix: &'static str,
    /// What it is: "a drive".
    pub(crate) what: &'static str,
    /// Who uses it: "a block device".
    pub(crate) user: &'static str,
    /// Whether several can use it.
    pub(crate) is_shared: bool,
    /// What is special about it.
    pub(crate) sort: Sort,
}

/// What is special about a kind of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Its uses are counted, and that is all.
    Counted,
    /// Nobody counts its uses.
    Free,
    /// A port of the controller before it.
    Port,
    /// An I/O thread.
    Thread,
    /// A disk image that several devices can have.
    SharedImage,
}

impl PartKind {
    /// Ids of one space must differ.
    pub(crate) fn space(&self) -> &'static str {
        // Both name block nodes.
        if self.flag == "-blockdev" { "-drive" } else { self.flag }
    }
}

/// What a builder knows of a part.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) kind: &'static PartKind,
    pub(crate) id: Id,
    /// How many can use it.
    pub(crate) most: u32,
    /// How many do; counted when the VM is complete.
    pub(crate) uses: u32,
    /// The next number for an id, where this one's was made of one.
    pub(crate) next: u32,
    /// Whether it is there for later.
    pub(crate) is_spare: bool,
    /// What else is known of it.
    pub(crate) trait_of: Trait,
}

/// What a builder knows of some parts only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trait {
    None,
    /// A character device that does not both read and write.
    OneWay,
    /// An I/O thread, with the proof of a version that has ioeventfd everywhere.
    Proven,
}

/// Only this crate has one: what takes it, nobody else calls, though generic code can name it.
#[derive(Debug, Clone, Copy)]
pub struct Token(());

impl Token {
    pub(crate) const OWN: Self = Self(());
}

/// What a builder returns for a part, such as [`Chardev`](crate::backend::Chardev): the proof that the part is there. Only
/// builders make them.
///
/// A trait, because the compiler offers associated functions of the type itself to whoever tries to forge a handle.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handle of a part of a VM",
    label = "not a handle",
    note = "handles are what `vm.drive(...)`, `vm.chardev(...)`, `vm.backend(...)` and their like return"
)]
pub trait Handle: Sized {
    #[doc(hidden)]
    const KIND: &'static PartKind;
    #[doc(hidden)]
    fn from_issued(issued: Issued, token: Token) -> Self;
    #[doc(hidden)]
    fn part(&self, token: Token) -> Issued;
}

/// Defines a handle type: the id of one part of one VM.
macro_rules! handle {
    ($(#[$meta:meta])* $name:ident $([$($derive:ident),*])?, $what:literal, $kind:expr) => {
        $(#[$meta])*
        #[derive(Debug $($(, $derive)*)?)]
        pub struct $name {
            // Not one `Issued`: whoever forges a handle is told that its fields are private.
            id: $crate::opts::Id,
            vm: $crate::opts::PartRef,
        }

        impl $crate::opts::Handle for $name {
            const KIND: &'static $crate::opts::PartKind = &$kind;

            fn from_issued(issued: $crate::opts::Issued, _: $crate::opts::Token) -> Self {
                Self { id: issued.id, vm: issued.place }
            }

            fn part(&self, _: $crate::opts::Token) -> $crate::opts::Issued {
                $crate::opts::Issued { id: self.id, place: self.vm }
            }
        }

        impl $name {
            /// The id, by which QMP clients name it.
            ///
            /// ```
            /// # use qemu_dsl::prelude::*;
            /// # let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
            /// let chardev = vm.chardev(Stdio::new());
            /// assert_eq!(chardev.id().as_str(), "chardev0");
            /// ```
            pub fn id(&self) -> $crate::opts::Id {
                self.id
            }
        }

        impl $crate::opts::OptValue for $name {
            const TYPE: $crate::opts::OptType = $crate::opts::OptType::Reference($what);

            fn write_value(&self, value: &mut $crate::opts::ValueWriter<'_, '_>) {
                value.handle(&self.id, self.vm);
            }
        }
    };
}
pub(crate) use handle;

/// Defines what can be given where a handle is wanted: the handle. The trait is there for its message.
macro_rules! into_handle {
    ($name:ident, $method:ident, $handle:ident, $wanted:literal, $remedy:literal) => {
        #[doc = concat!("What can be given where a [`", stringify!($handle), "`] is wanted: that. The trait is there for its message.")]
        #[diagnostic::on_unimplemented(
            message = "`{Self}` is not a part of the VM that this can use",
            label = $wanted,
            note = $remedy
        )]
        pub trait $name {
            #[doc(hidden)]
            fn $method(self) -> $handle;
        }

        #[diagnostic::do_not_recommend]
        impl $name for $handle {
            fn $method(self) -> $handle {
                self
            }
        }
    };
}
pub(crate) use into_handle;
