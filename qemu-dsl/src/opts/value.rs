use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::fields::{Kind, Part};
use super::{Id, OptType, OptWriter, Size, ValueWriter};

/// A type that can be the value of an option.
///
/// ```
/// use qemu_dsl::opts::{self, OptType, OptValue, QemuOpts, ValueWriter};
///
/// enum Color { Red, Green }
///
/// impl OptValue for Color {
///     const TYPE: OptType = OptType::OneOf(&["red", "green"]);
///     fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
///         value.text(match self { Color::Red => "red", Color::Green => "green" });
///     }
/// }
///
/// #[derive(QemuOpts)]
/// #[qemu(implied = "lamp")]
/// struct Lamp { color: Color }
/// assert_eq!(opts::to_text(&Lamp { color: Color::Green }).unwrap(), b"lamp,color=green");
/// ```
///
/// For an enum of words, `#[derive(QemuOpts)]` with `#[qemu(value)]` writes this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a QEMU option",
    label = "not an option value",
    note = "numbers, `bool`, text, paths, `Id`, `Size`, handles of a VM and `Option`s of these can",
    note = "for an enum of words: `#[derive(QemuOpts)] #[qemu(value)]`; for a group of options: `#[qemu(flatten)]` on the field; for a `Vec`: `#[qemu(list)]`"
)]
pub trait OptValue {
    /// What QEMU reads.
    const TYPE: OptType;

    /// Writes the value.
    fn write_value(&self, value: &mut ValueWriter<'_, '_>);

    /// Called where there is none, for what QEMU then chooses itself.
    #[doc(hidden)]
    #[inline]
    fn write_absent(_writer: &mut OptWriter<'_>) {}
}

/// A type that can be a field of a struct with `#[derive(QemuOpts)]`: an [`OptValue`], or an [`Option`] of one.
///
/// ```
/// use qemu_dsl::opts::OptField;
/// fn is_a_field<T: OptField>() {}
/// is_a_field::<u32>();
/// is_a_field::<Option<String>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a QEMU option",
    label = "not an option value",
    note = "numbers, `bool`, text, paths, `Id`, `Size`, handles of a VM and `Option`s of these can",
    note = "for an enum of words: `#[derive(QemuOpts)] #[qemu(value)]`; for a group of options: `#[qemu(flatten)]` on the field; for a `Vec`: `#[qemu(list)]`"
)]
pub trait OptField {
    /// The type of the value.
    const TYPE: OptType;

    /// The type, and whether there always is a value.
    #[doc(hidden)]
    const KIND: Kind = Kind::value(Self::TYPE);

    /// Writes `key=value`, or nothing. The key is to be passed on.
    fn write_field(&self, key: &'static str, writer: &mut OptWriter<'_>);

    /// The field without its type, for the derive.
    #[doc(hidden)]
    #[inline]
    fn as_part(&self) -> &dyn Part
    where
        Self: Sized,
    {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<T: OptValue + ?Sized> OptField for T {
    const TYPE: OptType = T::TYPE;

    #[inline]
    fn write_field(&self, key: &'static str, writer: &mut OptWriter<'_>) {
        writer.keyed(key, |value| self.write_value(value));
    }
}

#[diagnostic::do_not_recommend]
impl<T: OptValue> OptField for Option<T> {
    const TYPE: OptType = T::TYPE;
    const KIND: Kind = Kind::value(T::TYPE).optional();

    #[inline]
    fn write_field(&self, key: &'static str, writer: &mut OptWriter<'_>) {
        match self {
            Some(value) => value.write_field(key, writer),
            None => T::write_absent(writer),
        }
    }
}

impl OptValue for bool {
    const TYPE: OptType = OptType::Bool;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        if *self {
            value.word("on");
        } else {
            value.word("off");
        }
    }
}

macro_rules! integers {
    ($method:ident: $($ty:ty)*) => {$(
        impl OptValue for $ty {
            const TYPE: OptType = OptType::Integer;

            fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
                value.$method((*self).into());
            }
        }
    )*};
}
integers!(unsigned: u8 u16 u32 u64);
integers!(signed: i8 i16 i32 i64);

/// What goes through another form: the standard library's own.
macro_rules! through {
    ($($ty:ty: $kind:ident, |$this:ident, $value:ident| $write:expr;)*) => {$(
        impl OptValue for $ty {
            const TYPE: OptType = OptType::$kind;

            fn write_value(&self, $value: &mut ValueWriter<'_, '_>) {
                let $this = self;
                $write;
            }
        }
    )*};
}
through! {
    usize: Integer, |number, value| value.display(number);
    isize: Integer, |number, value| value.display(number);
    NonZeroU8: Integer, |number, value| value.unsigned(number.get().into());
    NonZeroU16: Integer, |number, value| value.unsigned(number.get().into());
    NonZeroU32: Integer, |number, value| value.unsigned(number.get().into());
    NonZeroU64: Integer, |number, value| value.unsigned(number.get());
    NonZeroUsize: Integer, |number, value| value.display(number);
    char: Text, |letter, value| value.text(letter.encode_utf8(&mut [0; 4]));
    IpAddr: Text, |address, value| value.display(address);
    Ipv4Addr: Text, |address, value| value.display(address);
    Ipv6Addr: Text, |address, value| value.display(address);
}

impl OptValue for Size {
    const TYPE: OptType = OptType::Size;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        let (digits, unit) = self.parts();
        value.unsigned(digits);
        value.word(unit);
    }
}

impl OptValue for Id {
    const TYPE: OptType = OptType::Reference("id");

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.text(self.as_str());
    }
}

macro_rules! texts {
    ($($ty:ty: $kind:ident, |$this:ident| $bytes:expr;)*) => {$(
        impl OptValue for $ty {
            const TYPE: OptType = OptType::$kind;

            fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
                let $this = self;
                value.text($bytes);
            }
        }
    )*};
}
texts! {
    str: Text, |text| text;
    String: Text, |text| text;
    OsStr: Path, |text| text.as_bytes();
    OsString: Path, |text| text.as_bytes();
    Path: Path, |path| path.as_os_str().as_bytes();
    PathBuf: Path, |path| path.as_os_str().as_bytes();
}

macro_rules! forward {
    ($($(#[$attr:meta])* [$($generics:tt)*] $ty:ty;)*) => {$(
        $(#[$attr])*
        impl<$($generics)*> OptValue for $ty {
            const TYPE: OptType = T::TYPE;

            fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
                T::write_value(self, value);
            }
        }
    )*};
}
forward! {
    #[diagnostic::do_not_recommend] [T: OptValue + ?Sized] &T;
    #[diagnostic::do_not_recommend] [T: OptValue + ?Sized] Box<T>;
    #[diagnostic::do_not_recommend] [T: OptValue + ?Sized] Rc<T>;
    #[diagnostic::do_not_recommend] [T: OptValue + ?Sized] Arc<T>;
    #[diagnostic::do_not_recommend] [T: OptValue + ToOwned + ?Sized] Cow<'_, T>;
}
