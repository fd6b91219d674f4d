/// Defines a machine type: once, and all that follows from it is made.
///
/// ```
/// use qemu_dsl::accel::Aarch64;
/// use qemu_dsl::bus::{Pci, Virtio};
/// use qemu_dsl::cpu::Max;
/// use qemu_dsl::prelude::*;
///
/// qemu_dsl::machine! {
///     /// Arm's server reference board.
///     pub struct SbsaRef = "sbsa-ref" {
///         arch: Aarch64,
///         transport: Pci,
///         buses: [Virtio, Pci],
///         uart: Pl011,
///         accelerators: [Tcg],
///         ioeventfd: [any],
///         facts: [cpus(&[((5, 2), 512)]), boots_disks()],
///     }
///     options {
///         /// EL3 for the guest.
///         secure: bool,
///     }
/// }
///
/// let mut vm = Vm::new(SbsaRef::new().secure(true).mem_merge(false), Tcg::new(), Max::new(), mib!(1024));
/// vm.add(VirtioBalloon::new());
/// let stdio = vm.chardev(Stdio::new());
/// assert!(vm.pl011_console(stdio).build()?.to_string().contains("-machine sbsa-ref,secure=on,mem-merge=off"));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
///
/// | word | what it says | what is made of it |
/// |---|---|---|
/// | `arch` | the instruction set, an [`Arch`](crate::accel::Arch) | [`MachineType::Arch`](crate::machine::MachineType::Arch) |
/// | `transport` | how virtio devices are attached: `Mmio`, `Pci` | where `Virtio` devices go |
/// | `buses` | types of [`bus`](crate::bus), or your own | [`HasBus`](crate::bus::HasBus) |
/// | `uart` | `IsaSerial`, `Pl011`, `Ns16550a`; `Named("ttySC0")` for another that Linux calls so; or `none` | the console methods, and their `console=` |
/// | `accelerators` | types of [`accel`](crate::accel) | [`RunsUnder`](crate::machine::RunsUnder) |
/// | `ioeventfd` | the accelerators under which I/O threads work with every version, `[any]`, `[]` | [`IoEventFd`](crate::machine::IoEventFd) |
/// | `facts` | calls of methods of [`MachineFacts`](crate::machine::MachineFacts) | what the builder counts and checks |
/// | `options` | options of `-machine`, with `#[qemu(...)]` as in `#[derive(QemuOpts)]`: `since`, `until` | a setter each; `mem_merge` and `without_core_dump` are there already |
/// | `when` | conditions on the options, each with the text that shows it, and what is different then | further rows of facts; the first that fits counts |
///
/// `NAME::FACTS` holds the rows: [`machine::ALL`](crate::machine::ALL) has those of the library's machine types, and tests compare
/// them with QEMU binaries.
#[macro_export]
macro_rules! machine {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident = $qemu:literal {
            arch: $arch:ty,
            transport: $transport:ident,
            buses: [$($bus:ty),* $(,)?],
            uart: $uart:ident $(($linux_name:literal))?,
            accelerators: [$($accel:ty),* $(,)?],
            ioeventfd: [$($ioeventfd:tt)*],
            facts: [$($fact:ident($($value:expr),*)),* $(,)?] $(,)?
        }
        $(versions $versions:expr;)?
        $(options {
            $($(#[doc = $doc:literal])* $(#[qemu($($attribute:tt)*)])? $option:ident: $option_ty:ty),* $(,)?
        })?
        $(when |$machine:ident| {
            $($condition:expr => $text:literal [$($changed:ident($($new:expr),*)),* $(,)?]),* $(,)?
        })?
    ) => {
        $(#[$meta])*
        #[derive($crate::opts::QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
        $vis struct $name {
            /// The name.
            #[qemu(flatten)]
            name: $crate::machine::MachineName<$name>,
            $($($(#[doc = $doc])* $(#[qemu($($attribute)*)])? $option: ::core::option::Option<$option_ty>,)*)?
            /// Merging of equal memory pages (KSM).
            mem_merge: ::core::option::Option<bool>,
            /// Guest memory in core dumps of QEMU.
            dump_guest_core: ::core::option::Option<bool>,
        }

        impl $name {
            /// What it provides, without options; and then for each case that differs. The first that fits counts.
            pub const FACTS: &'static [$crate::machine::MachineFacts] = {
                const PLAIN: $crate::machine::MachineFacts = $crate::machine!(@uart $uart [$($linux_name)?] $crate::machine::MachineFacts::new(
                    $qemu,
                    $crate::accel::architecture::<$arch>(),
                    $crate::opts::Transport::$transport,
                ))
                .of(::core::stringify!($name))
                $(.versions($versions))?
                $(.$fact($($value),*))*;
                &[PLAIN, $($(PLAIN.text(::core::concat!($qemu, ",", $text))$(.$changed($($new),*))*,)*)?]
            };

            /// The machine type with QEMU's defaults.
            #[must_use]
            pub const fn new() -> Self {
                Self {
                    name: $crate::machine::MachineName::NEW,
                    $($($option: ::core::option::Option::None,)*)?
                    mem_merge: ::core::option::Option::None,
                    dump_guest_core: ::core::option::Option::None,
                }
            }

            $($(
                $(#[doc = $doc])*
                #[must_use]
                pub const fn $option(mut self, $option: $option_ty) -> Self {
                    self.$option = ::core::option::Option::Some($option);
                    self
                }
            )*)?

            $crate::machine!(@version $($versions)?);
        }

        $crate::machine_common_options!($name);

        impl $crate::machine::Named for $name {
            const NAME: &'static str = $qemu;
            const VERSIONS: ::core::option::Option<$crate::machine::Versions> = Self::FACTS[0].versions;
        }

        #[diagnostic::do_not_recommend]
        impl $crate::machine::MachineType for $name {
            type Arch = $arch;

            fn facts(&self) -> &'static $crate::machine::MachineFacts {
                $(
                    let $machine = self;
                    let rows = Self::FACTS.iter().skip(1).zip([$($condition),*]);
                    for (row, fits) in rows {
                        if fits {
                            return row;
                        }
                    }
                )?
                &Self::FACTS[0]
            }

            fn version(&self) -> ::core::option::Option<(u16, u16)> {
                self.name.version
            }
        }

        $crate::machine!(@console $uart [$($linux_name)?] $name);
        $(
            #[diagnostic::do_not_recommend]
            impl $crate::bus::HasBus<$bus> for $name {}
        )*
        $(
            #[diagnostic::do_not_recommend]
            impl $crate::machine::RunsUnder<$accel> for $name {}
        )*
        $crate::machine!(@ioeventfd $name [$($ioeventfd)*]);
    };

    (@version) => {};
    (@version $versions:expr) => {
        /// The machine as it was in this version of QEMU, for a guest that must find the same one in later versions: the
        /// version becomes part of the name. A version that there never was is an error when the VM is built, and one that the
        /// target does not have.
        #[must_use]
        pub const fn versioned(mut self, major: u16, minor: u16) -> Self {
            self.name.version = ::core::option::Option::Some((major, minor));
            self
        }
    };

    (@uart none [] $facts:expr) => { $facts };
    (@uart IsaSerial [] $facts:expr) => { $facts.uart($crate::machine::Uart::ISA_SERIAL) };
    (@uart Pl011 [] $facts:expr) => { $facts.uart($crate::machine::Uart::PL011) };
    (@uart Ns16550a [] $facts:expr) => { $facts.uart($crate::machine::Uart::NS16550A) };

    (@uart Named [$linux_name:literal] $facts:expr) => { $facts.uart($crate::machine::Uart::named($linux_name)) };

    (@console none [] $name:ident) => {};
    (@console IsaSerial [] $name:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::machine::HasIsaSerial for $name {}
        #[diagnostic::do_not_recommend]
        impl $crate::machine::HasUart for $name {
            const UART: $crate::machine::Uart = $crate::machine::Uart::ISA_SERIAL;
        }
    };
    (@console Pl011 [] $name:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::machine::HasPl011 for $name {}
        #[diagnostic::do_not_recommend]
        impl $crate::machine::HasUart for $name {
            const UART: $crate::machine::Uart = $crate::machine::Uart::PL011;
        }
    };
    (@console Ns16550a [] $name:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::machine::HasUart for $name {
            const UART: $crate::machine::Uart = $crate::machine::Uart::NS16550A;
        }
    };

    (@console Named [$linux_name:literal] $name:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::machine::HasUart for $name {
            const UART: $crate::machine::Uart = $crate::machine::Uart::named($linux_name);
        }
    };

    (@ioeventfd $name:ident [any]) => {
        #[diagnostic::do_not_recommend]
        impl<A: $crate::accel::Accelerator> $crate::machine::IoEventFd<A> for $name {}
    };
    (@ioeventfd $name:ident [$($accel:ty),* $(,)?]) => {
        $(
            #[diagnostic::do_not_recommend]
            impl $crate::machine::IoEventFd<$accel> for $name {}
        )*
    };
}

/// Options that every machine type of QEMU has: `machine!` needs the name wherever it is used.
#[doc(hidden)]
#[macro_export]
macro_rules! machine_common_options {
    ($(@[$($generics:tt)*])? $ty:ty) => {
        impl$(<$($generics)*>)? $ty {
            /// Whether the host may merge equal pages of guest memory (KSM). Off saves the host work, and keeps guests
            /// from finding out about each other's pages. (`mem-merge=`)
            #[must_use]
            pub const fn mem_merge(mut self, on: bool) -> Self {
                self.mem_merge = ::core::option::Option::Some(on);
                self
            }

            /// Leaves guest memory out of the host's core dumps. QEMU has the option on Linux only, hence the proof.
            /// (`dump-guest-core=off`)
            #[must_use]
            pub const fn without_core_dump(mut self, _linux: $crate::accel::LinuxHost) -> Self {
                self.dump_guest_core = ::core::option::Option::Some(false);
                self
            }
        }
    };
}
