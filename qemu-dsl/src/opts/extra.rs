//! [`Extra`]: options that a type of the library does not have.

use std::fmt;

use super::{FieldKind, Key, OptError, OptValue, OptWriter, QemuOpts, Schema};

type Write = Box<dyn Fn(&mut OptWriter<'_>) + Send + Sync>;

/// Something with further options, by the names that QEMU has for them. [`WithExtra`] has an example.
pub struct Extra<T> {
    of: T,
    options: Vec<(&'static str, Write)>,
}

/// Further options for a device, a back end or a CPU model of the library, before the library has them itself. In the prelude.
///
/// The value is written and escaped like any other, and a handle counts as used. A key that the type has itself is an error of the VM:
/// it would stand there twice. Whether QEMU has the key, QEMU says.
///
/// ```
/// use qemu_dsl::prelude::*;
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new().extra("pmu", false), mib!(64));
/// let disk = vm.backend(Drive::new("root.qcow2", Format::Qcow2).extra("l2-cache-size", Size::mib(8)));
/// vm.add(VirtioBlk::new(disk).extra("packed", true).extra("iommu_platform", true));
/// let command = vm.build()?.to_string();
/// assert!(command.contains("-cpu Haswell,pmu=off"));
/// assert!(command.contains("if=none,id=drive0,l2-cache-size=8M"));
/// assert!(command.contains("-device virtio-blk-pci,drive=drive0,packed=on,iommu_platform=on"));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
pub trait WithExtra: QemuOpts + Sized {
    /// The same with the option `key=value`.
    fn extra(self, key: &'static str, value: impl OptValue + Send + Sync + 'static) -> Extra<Self> {
        Extra { of: self, options: Vec::new() }.extra(key, value)
    }
}

#[diagnostic::do_not_recommend]
impl<T: QemuOpts> WithExtra for T {}

impl<T: QemuOpts> Extra<T> {
    /// The same with one option more.
    #[must_use]
    pub fn extra(mut self, key: &'static str, value: impl OptValue + Send + Sync + 'static) -> Self {
        self.options.push((key, Box::new(move |writer| writer.option(&Key::new(key), &value))));
        self
    }

    /// What has the options.
    pub(crate) fn of(&self) -> &T {
        &self.of
    }

    /// Writes the options alone.
    pub(crate) fn write_extra(&self, writer: &mut OptWriter<'_>) {
        for (index, (key, write)) in self.options.iter().enumerate() {
            let is_twice = self.options[..index].iter().any(|(earlier, _)| earlier == key);
            if let Some(reason) = why_not(T::SCHEMA, key, is_twice) {
                return writer.fail(OptError::Value { option: (*key).to_owned(), reason: reason.to_owned() });
            }
            write(writer);
        }
    }
}

impl<T: QemuOpts> QemuOpts for Extra<T> {
    const SCHEMA: &'static Schema = T::SCHEMA;

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        self.of.write_opts(writer);
        self.write_extra(writer);
    }
}

impl<T: fmt::Debug> fmt::Debug for Extra<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.options.iter().map(|(key, _)| key).collect();
        f.debug_struct("Extra").field("of", &self.of).field("keys", &keys).finish()
    }
}

/// Why a key cannot be added, if it cannot.
fn why_not(schema: &Schema, key: &str, is_twice: bool) -> Option<&'static str> {
    let is_word = key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match () {
        () if !is_word => Some("the key of an option is a letter, then letters, digits, `-`, `_` and `.`"),
        () if key == "id" => Some("the builder writes the id: use `add_as` or its like"),
        () if is_twice => Some("it is added twice: leave one out"),
        () if has(schema, "", key) => Some("the type has this option itself: use its own method"),
        () => None,
    }
}

fn has(schema: &Schema, prefix: &str, key: &str) -> bool {
    schema.fields().any(|field| match field.kind {
        FieldKind::Value(_) | FieldKind::List(_) | FieldKind::Groups(_) => {
            key.strip_prefix(prefix).is_some_and(|key| key == field.key.name)
        }
        FieldKind::Flatten(group) => key.strip_prefix(prefix).is_some_and(|key| has(group, field.key.name, key)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Format, ReadOnlyImage, Stdio};
    use crate::opts::to_text;

    #[test]
    fn what_would_stand_there_twice_is_refused() {
        for (extra, good) in [
            (Stdio::new().extra("logfile", String::from("a,b")), true),
            (Stdio::new().extra("signal", true), false),
            (Stdio::new().extra("id", true), false),
            (Stdio::new().extra("x,y", true), false),
            (Stdio::new().extra("", true), false),
            (Stdio::new().extra("logappend", true).extra("logappend", false), false),
        ] {
            assert_eq!(to_text(&extra).is_ok(), good, "{extra:?}");
        }
        let node = ReadOnlyImage::new("a", Format::Raw).blockdev(crate::id!("n"));
        assert!(to_text(&node.extra("file.filename", true)).is_err());
        assert!(to_text(&node.extra("file.locking", true)).is_ok());
    }
}
