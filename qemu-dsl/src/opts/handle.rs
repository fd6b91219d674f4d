//! Handles: what a builder returns for a part that other parts refer to.

use std::sync::atomic::{AtomicU32, Ordering};

/// Which VM a handle is of. A handle used in another VM is [`OptError::ForeignHandle`](super::OptError::ForeignHandle).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VmTag(u32);

impl VmTag {
    /// A tag that no other VM of this process has (until 2^32 VMs later).
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a builder returns. A trait, because the compiler offers associated functions of the type itself to whoever tries to
/// forge a handle.
pub(crate) trait Handle {
    fn issued(id: super::Id, vm: VmTag) -> Self;
}

/// Defines a handle type: the id of one part of one VM.
macro_rules! handle {
    ($(#[$meta:meta])* $name:ident, $what:literal $(, $derive:ident)*) => {
        $(#[$meta])*
        #[derive(Debug $(, $derive)*)]
        pub struct $name {
            id: $crate::opts::Id,
            vm: $crate::opts::VmTag,
        }

        impl $crate::opts::Handle for $name {
            fn issued(id: $crate::opts::Id, vm: $crate::opts::VmTag) -> Self {
                Self { id, vm }
            }
        }

        impl $name {
            #[allow(dead_code)] // not every kind of handle is compared outside an option
            pub(crate) fn vm(&self) -> $crate::opts::VmTag {
                self.vm
            }

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
