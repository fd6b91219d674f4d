/// A UART that is a console, with the name that Linux gives it.
///
/// ```
/// use qemu_dsl::machine::Uart;
/// assert_eq!(Uart::PL011.linux_name(), "ttyAMA0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uart(Option<&'static str>);

impl Uart {
    /// The first ISA serial port, `ttyS0`.
    pub const ISA_SERIAL: Self = Self(Some("ttyS0"));
    /// Arm's PL011, `ttyAMA0`.
    pub const PL011: Self = Self(Some("ttyAMA0"));
    /// A 16550A that is not on an ISA bus, `ttyS0`.
    pub const NS16550A: Self = Self(Some("ttyS0"));
    /// The one of a machine type that is chosen at run time.
    pub(super) const OF_MACHINE: Self = Self(None);

    /// Another one, by the name behind `console=`.
    pub const fn named(linux_name: &'static str) -> Self {
        Self(Some(linux_name))
    }

    /// The name behind `console=`.
    pub const fn linux_name(self) -> &'static str {
        match self.0 {
            Some(name) => name,
            // Only what asks the machine itself meets it.
            None => "",
        }
    }

    /// This one, or the machine's own where only it knows.
    pub(crate) fn or(self, of_machine: Option<Self>) -> Option<Self> {
        if self.0.is_none() { of_machine } else { Some(self) }
    }
}
