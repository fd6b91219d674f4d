//! QEMU's lists: `key.0=`, `key.1=`.

use super::fields::Kind;
use super::{OptType, OptValue, OptWriter, QemuOpts};

/// A type that can be a field with `#[qemu(list)]`: several values of one option, `key.0=`, `key.1=`.
///
/// ```
/// use qemu_dsl::opts::{self, QemuOpts};
///
/// #[derive(QemuOpts)]
/// #[qemu(implied = "user")]
/// struct User { #[qemu(list)] dnssearch: Vec<String> }
///
/// let user = User { dnssearch: vec!["a.example".into(), "b.example".into()] };
/// assert_eq!(opts::to_text(&user).unwrap(), b"user,dnssearch.0=a.example,dnssearch.1=b.example");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of option values",
    label = "not a list",
    note = "`Vec`, slices and arrays of option values are; for a list of groups: `#[qemu(list, flatten)]`"
)]
pub trait OptList {
    /// The type of an element.
    const TYPE: OptType;

    #[doc(hidden)]
    const KIND: Kind = Kind::list(Self::TYPE);

    /// Writes all elements; the key is to be passed on.
    fn write_list(&self, key: &'static str, writer: &mut OptWriter<'_>);
}

/// A type that can be a field with `#[qemu(list, flatten)]`: several groups of options, `key.0.a=`, `key.0.b=`, `key.1.a=`.
///
/// ```
/// use qemu_dsl::opts::{self, QemuOpts};
///
/// #[derive(QemuOpts)]
/// struct Forward { str: String }
///
/// #[derive(QemuOpts)]
/// #[qemu(implied = "user")]
/// struct User { #[qemu(list, flatten)] hostfwd: [Forward; 1] }
///
/// let user = User { hostfwd: [Forward { str: "tcp::8080-:80".into() }] };
/// assert_eq!(opts::to_text(&user).unwrap(), b"user,hostfwd.0.str=tcp::8080-:80");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of groups of options",
    label = "not a list of groups",
    note = "`Vec`, slices and arrays of types with `#[derive(QemuOpts)]` are; for a list of values: `#[qemu(list)]` alone"
)]
pub trait OptGroups {
    #[doc(hidden)]
    const KIND: Kind;

    /// Writes all groups; the key is to be passed on.
    fn write_groups(&self, key: &'static str, writer: &mut OptWriter<'_>);
}

/// Calls `write` for each element, with its number behind the key.
fn each<'t, T: 't>(
    elements: impl IntoIterator<Item = &'t T>,
    writer: &mut OptWriter<'_>,
    write: impl Fn(&'t T, u32, &mut OptWriter<'_>),
) {
    for (number, element) in (0..).zip(elements) {
        write(element, number, writer);
    }
}

macro_rules! lists {
    ($([$($generics:tt)*] $ty:ty;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: OptValue, $($generics)*> OptList for $ty {
            const TYPE: OptType = T::TYPE;

            fn write_list(&self, key: &'static str, writer: &mut OptWriter<'_>) {
                each(self.iter(), writer, |element, number, writer| {
                    writer.numbered(key, number, |value| element.write_value(value));
                });
            }
        }

        #[diagnostic::do_not_recommend]
        impl<T: QemuOpts, $($generics)*> OptGroups for $ty {
            const KIND: Kind = Kind::groups(T::SCHEMA);

            fn write_groups(&self, key: &'static str, writer: &mut OptWriter<'_>) {
                each(self.iter(), writer, |group, number, writer| {
                    writer.behind(key, Some(number), |writer| group.write_opts(writer));
                });
            }
        }
    )*};
}
lists! {
    [] Vec<T>;
    [] &[T];
    [const N: usize] [T; N];
}
