use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

use super::fields::name;
use super::{Claim, Decimal, Id, Noted, OptError, OptField, PartRef, QemuOpts, Unique, VmTag};
use crate::QemuVersion;

/// How virtio devices are attached to a machine.
///
/// ```
/// use qemu_dsl::opts::Transport;
/// assert_eq!(Transport::Pci.suffix(), "pci");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// virtio-mmio: `virtio-blk-device`.
    Mmio,
    /// virtio-pci: `virtio-blk-pci`.
    Pci,
}

impl Transport {
    /// What stands behind the name of a virtio device, without the hyphen.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Mmio => "device",
            Self::Pci => "pci",
        }
    }
}

/// What the text is written for.
///
/// ```
/// use qemu_dsl::opts::{Context, Transport};
/// assert_eq!(Context::default().transport, Transport::Mmio);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The transport of virtio devices.
    pub transport: Transport,
    /// The version of QEMU, if it is known. Options that it lacks are errors then.
    pub version: Option<QemuVersion>,
    pub(crate) vm: Option<VmTag>,
    /// How many virtio-serial controllers there are so far.
    pub(crate) controllers: u32,
}

impl Context {
    /// A context for one transport and version.
    ///
    /// ```
    /// use qemu_dsl::opts::{Context, Transport};
    /// let context = Context::new(Transport::Pci, None);
    /// assert_eq!(context.transport, Transport::Pci);
    /// ```
    pub const fn new(transport: Transport, version: Option<QemuVersion>) -> Self {
        Self { transport, version, vm: None, controllers: 0 }
    }
}

impl Default for Context {
    /// virtio-mmio, version unknown.
    fn default() -> Self {
        Self::new(Transport::Mmio, None)
    }
}

/// An option's key and the versions of QEMU that have it.
///
/// ```
/// use qemu_dsl::opts::Key;
/// const RECONNECT_MS: Key = Key::new("reconnect-ms").since((9, 2), "9.2");
/// assert_eq!(RECONNECT_MS.name, "reconnect-ms");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// The first version that has it: numbers and text. [`None`]: every supported version.
    pub since: Option<((u16, u16), &'static str)>,
    /// The last version that has it: numbers and text. [`None`]: it is still there.
    pub until: Option<((u16, u16), &'static str)>,
}

impl Key {
    /// A key that every version has.
    pub const fn new(name: &'static str) -> Self {
        Self { name, since: None, until: None }
    }

    /// The same key, in `version` and later.
    #[must_use]
    pub const fn since(mut self, version: (u16, u16), text: &'static str) -> Self {
        self.since = Some((version, text));
        self
    }

    /// The same key, in `version` and earlier.
    #[must_use]
    pub const fn until(mut self, version: (u16, u16), text: &'static str) -> Self {
        self.until = Some((version, text));
        self
    }
}

/// Writes one argument: the head and `key=value` options, separated by commas.
///
/// The derive calls it. A type whose options depend on more than its fields calls it by hand:
///
/// ```
/// use qemu_dsl::opts::{self, Key, OptWriter, QemuOpts, Schema, Head};
///
/// struct Pair(u32, u32);
///
/// impl QemuOpts for Pair {
///     const SCHEMA: &'static Schema = &Schema::new(Head::None, &[]);
///     fn write_opts(&self, writer: &mut OptWriter<'_>) {
///         writer.option(&Key::new("low"), &self.0.min(self.1));
///         writer.option(&Key::new("high"), &self.0.max(self.1));
///     }
/// }
/// assert_eq!(opts::to_text(&Pair(7, 3)).unwrap(), b"low=3,high=7");
/// ```
#[derive(Debug)]
pub struct OptWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    context: &'a Context,
    transport: Transport,
    id: Option<&'a Id>,
    /// What stands before the keys of a group: nothing, nearly always.
    prefix: Cow<'static, str>,
    /// Behind this length, `,key=` is written as it is: nowhere, where there is a prefix.
    plain_from: usize,
    /// What the builder notes; nothing where there is none.
    noted: Option<&'a mut Noted>,
    /// How many claims there were before this argument.
    claims: usize,
    error: Option<Box<OptError>>,
}

impl<'a> OptWriter<'a> {
    /// A writer at the end of `out`. The id, if there is one, is written right behind the head.
    pub(crate) fn new(out: &'a mut Vec<u8>, context: &'a Context, id: Option<&'a Id>) -> Self {
        let start = out.len();
        Self {
            out,
            start,
            context,
            transport: context.transport,
            id,
            prefix: Cow::Borrowed(""),
            plain_from: start,
            noted: None,
            claims: 0,
            error: None,
        }
    }

    /// The same, and notes what is used and what must differ.
    pub(crate) fn noting(mut self, noted: &'a mut Noted) -> Self {
        self.claims = noted.claims.len();
        self.noted = Some(noted);
        self
    }

    /// Notes a value that must differ from others, and that the kind itself says.
    pub(crate) fn claim(&mut self, kind: Unique) {
        if let Some(noted) = &mut self.noted {
            noted.claims.push(Claim { kind, text: 0..0, escaped: true });
        }
    }

    /// Notes the use of a part, if it is of this VM.
    pub(crate) fn uses(&mut self, part: PartRef) -> bool {
        if self.context.vm.is_some_and(|own| own != part.vm) {
            return false;
        }
        let mmio = self.transport == Transport::Mmio;
        if let Some(noted) = &mut self.noted {
            noted.uses(part.part, mmio);
        }
        true
    }

    /// What the text is written for.
    pub fn context(&self) -> Context {
        Context { transport: self.transport, ..*self.context }
    }

    /// Writes the fixed head. Never pass text that a user chose.
    pub fn implied(&mut self, head: &'static str) {
        if self.out.len() != self.start {
            return self.fail(OptError::HeadNotFirst { head });
        }
        self.out.extend_from_slice(head.as_bytes());
        self.id();
    }

    /// Writes the head of a virtio device: `base` with the suffix of the context's transport.
    pub fn virtio(&mut self, base: &'static str) {
        if self.out.len() != self.start {
            return self.fail(OptError::HeadNotFirst { head: base });
        }
        self.out.extend_from_slice(base.as_bytes());
        self.out.extend_from_slice(match self.transport {
            Transport::Mmio => b"-device",
            Transport::Pci => b"-pci",
        });
        self.id();
    }

    /// Writes the head of a machine type that has a version in its name.
    pub(crate) fn versioned(&mut self, prefix: &'static str, (major, minor): (u16, u16)) {
        if self.out.len() != self.start {
            return self.fail(OptError::HeadNotFirst { head: prefix });
        }
        self.out.extend_from_slice(prefix.as_bytes());
        self.out.extend_from_slice(Decimal::new(major).as_bytes());
        self.out.push(b'.');
        self.out.extend_from_slice(Decimal::new(minor).as_bytes());
        self.id();
    }

    /// Writes `key=value`, or nothing for [`None`].
    pub fn option<T: OptField + ?Sized>(&mut self, key: &Key, value: &T) {
        let start = self.out.len();
        value.write_field(key.name, self);
        if self.out.len() != start {
            self.require(key);
        }
    }

    /// Fails where the version of QEMU that the text is for lacks what `key` names.
    pub fn require(&mut self, key: &Key) {
        let Some(version) = self.context.version else { return };
        if let Some(((major, minor), since)) = key.since
            && !version.is_at_least(major, minor)
        {
            self.fail(OptError::TooOld { option: key.name.to_owned(), since, version });
        }
        if let Some(((major, minor), until)) = key.until
            && !version.is_at_most(major, minor)
        {
            self.fail(OptError::TooNew { option: key.name.to_owned(), until, version });
        }
    }

    /// Writes `key=` and what `write` makes of the value.
    #[inline]
    pub fn value(&mut self, key: &Key, write: impl FnOnce(&mut ValueWriter<'_, 'a>)) {
        self.require(key);
        self.keyed(key.name, write);
    }

    /// The same for a key that is written `name` or, where the derive has put it together, `,name=`.
    #[inline]
    pub(crate) fn keyed(&mut self, key: &'static str, write: impl FnOnce(&mut ValueWriter<'_, 'a>)) {
        if self.out.len() > self.plain_from && key.starts_with(',') {
            self.out.extend_from_slice(key.as_bytes());
        } else {
            self.begin_in_parts(key, None);
        }
        write(&mut ValueWriter { writer: self, key });
    }

    /// The same for an element of a list.
    pub(crate) fn numbered(&mut self, key: &'static str, number: u32, write: impl FnOnce(&mut ValueWriter<'_, 'a>)) {
        self.begin_in_parts(key, Some(number));
        write(&mut ValueWriter { writer: self, key });
    }

    /// Writes the options of `group`, each key behind `prefix`.
    pub fn flatten<T: QemuOpts + ?Sized>(&mut self, prefix: &'static str, group: &T) {
        self.behind(prefix, None, |writer| group.write_opts(writer));
    }

    /// Writes keys behind a prefix, and behind a number and a dot where there is a number.
    pub(crate) fn behind(&mut self, text: &'static str, number: Option<u32>, write: impl FnOnce(&mut Self)) {
        if text.is_empty() && number.is_none() {
            return write(self);
        }
        let inner = match (&*self.prefix, number) {
            ("", None) => text.into(),
            (outer, None) => format!("{outer}{text}").into(),
            (outer, Some(number)) => format!("{outer}{text}.{number}.").into(),
        };
        let outer = (std::mem::replace(&mut self.prefix, inner), self.plain_from);
        self.plain_from = usize::MAX;
        write(self);
        (self.prefix, self.plain_from) = outer;
    }

    /// How long the text is so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Where in `option`, which is written there, the value is of the one option with this key, `,key=`.
    fn value_of(&self, option: &Range<usize>, key: &str) -> Range<usize> {
        let start = if self.prefix.is_empty() {
            // The first option has no comma before it.
            option.start + key.len() - usize::from(option.start == self.start)
        } else {
            let text = self.out.get(option.clone()).unwrap_or_default();
            memchr::memchr(b'=', text).map_or(option.end, |at| option.start + at + 1)
        };
        start..option.end
    }

    /// The value of this option, as it is written.
    pub(crate) fn value_at(&self, option: &Range<usize>, key: &str) -> &[u8] {
        self.out.get(self.value_of(option, key)).unwrap_or_default()
    }

    /// Notes that the value of this option must differ from others of this kind.
    pub(crate) fn claim_value(&mut self, kind: &'static str, option: &Range<usize>, key: &str) {
        let text = self.value_of(option, key);
        if let Some(noted) = &mut self.noted {
            noted.claims.push(Claim { kind: Unique::of(kind), text, escaped: true });
        }
    }

    /// Refuses the value of an option: the argument will not be written, and the error names the option and this reason.
    pub fn refuse(&mut self, option: impl Into<String>, reason: impl Into<String>) {
        self.fail(OptError::Value { option: option.into(), reason: reason.into() });
    }

    /// Writes with another virtio transport than the machine's own.
    pub(crate) fn with_transport(&mut self, transport: Transport, write: impl FnOnce(&mut Self)) {
        let own = std::mem::replace(&mut self.transport, transport);
        write(self);
        self.transport = own;
    }

    /// Records an error. The first one is kept, and the argument is dropped.
    pub fn fail(&mut self, error: OptError) {
        self.error.get_or_insert_with(|| Box::new(error));
    }

    /// Ends the argument: writes an id that had no head to stand behind, and reports the first error.
    pub(crate) fn finish(&mut self) -> Result<(), OptError> {
        self.id();
        match self.error.take() {
            None => Ok(()),
            Some(error) => {
                self.out.truncate(self.start);
                // Their text is gone. What was used counts as used: an error is enough for a device.
                if let Some(noted) = &mut self.noted {
                    noted.claims.truncate(self.claims);
                }
                Err(*error)
            }
        }
    }

    /// Writes the id that the VM's builder gives, if there is one and it is not there already. Without this it stands behind the
    /// head, or at the end where there is no head.
    #[inline]
    pub fn id(&mut self) {
        if let Some(id) = self.id.take() {
            self.write_id(id);
        }
    }

    fn write_id(&mut self, id: &Id) {
        self.separate();
        self.out.extend_from_slice(b"id=");
        self.out.extend_from_slice(id.as_bytes());
    }

    fn separate(&mut self) {
        if self.out.len() != self.start {
            self.out.push(b',');
        }
    }

    fn begin_in_parts(&mut self, key: &'static str, number: Option<u32>) {
        self.separate();
        self.out.extend_from_slice(self.prefix.as_bytes());
        self.out.extend_from_slice(name(key).as_bytes());
        if let Some(number) = number {
            self.out.push(b'.');
            self.out.extend_from_slice(Decimal::new(number).as_bytes());
        }
        self.out.push(b'=');
    }
}

/// Writes the value of one option, escaped.
///
/// ```
/// use qemu_dsl::opts::{OptType, OptValue, ValueWriter};
///
/// /// A PCI address, `slot.function`.
/// struct PciAddr(u8, u8);
///
/// impl OptValue for PciAddr {
///     const TYPE: OptType = OptType::Text;
///     fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
///         value.display(&format_args!("{:02x}.{:x}", self.0, self.1));
///     }
/// }
/// ```
#[derive(Debug)]
pub struct ValueWriter<'w, 'a> {
    writer: &'w mut OptWriter<'a>,
    /// `name` or `,name=`.
    key: &'static str,
}

impl ValueWriter<'_, '_> {
    /// Writes text of any origin: commas are doubled, NUL is an error.
    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let mut rest = text;
        while let Some(at) = memchr2(b',', 0, rest) {
            if rest[at] == 0 {
                let offset = text.len() - rest.len() + at;
                return self.writer.fail(OptError::Nul { option: name(self.key).to_owned(), offset });
            }
            let comma = at + 1;
            self.writer.out.extend_from_slice(&rest[..comma]);
            self.writer.out.push(b',');
            rest = &rest[comma..];
        }
        self.writer.out.extend_from_slice(rest);
    }

    /// Writes a word of the source that needs no escaping: for the derive.
    #[doc(hidden)]
    #[inline]
    pub fn word(&mut self, word: &'static str) {
        self.writer.out.extend_from_slice(word.as_bytes());
    }

    /// Writes a whole number.
    pub fn integer(&mut self, number: impl Into<i128>) {
        let number = number.into();
        match u64::try_from(number) {
            Ok(number) => self.unsigned(number),
            Err(_) => self.display(&number),
        }
    }

    #[inline]
    pub(crate) fn signed(&mut self, number: i64) {
        self.integer(number);
    }

    #[inline]
    pub(crate) fn unsigned(&mut self, number: u64) {
        self.writer.out.extend_from_slice(Decimal::new(number).as_bytes());
    }

    /// Writes what `value` displays, escaped.
    pub fn display(&mut self, value: &dyn std::fmt::Display) {
        use std::fmt::Write as _;
        // Writing into a `Vec` does not fail; a `Display` that fails all the same leaves its error here.
        if write!(Escaped(self), "{value}").is_err() {
            self.refuse("its `Display` failed");
        }
    }

    /// Notes that what `write` writes must differ from the other values of its kind in the VM.
    pub(crate) fn unique(&mut self, kind: Unique, write: impl FnOnce(&mut Self)) {
        let start = self.writer.out.len();
        write(self);
        let text = start..self.writer.out.len();
        if let Some(noted) = &mut self.writer.noted {
            noted.claims.push(Claim { kind, text, escaped: true });
        }
    }

    /// Notes a value that must differ from others, and that the kind itself says.
    pub(crate) fn claim(&mut self, kind: Unique) {
        self.writer.claim(kind);
    }

    /// Refuses the value: the argument will not be written, and the error names the option and this reason.
    pub fn refuse(&mut self, reason: impl Into<String>) {
        self.writer.fail(OptError::Value { option: name(self.key).to_owned(), reason: reason.into() });
    }

    /// Writes the id of a handle, if the handle is of this VM.
    pub(crate) fn handle(&mut self, id: &Id, place: PartRef) {
        if !self.writer.uses(place) {
            let id = id.to_string();
            return self.writer.fail(OptError::ForeignHandle { option: name(self.key).to_owned(), id });
        }
        self.writer.out.extend_from_slice(id.as_bytes());
    }
}

struct Escaped<'v, 'w, 'a>(&'v mut ValueWriter<'w, 'a>);

impl std::fmt::Write for Escaped<'_, '_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.text(text);
        Ok(())
    }
}
