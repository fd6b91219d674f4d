//! Values read back.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::{Id, OptRead, Size, ValueError};

fn utf8(text: &[u8]) -> Result<&str, ValueError> {
    std::str::from_utf8(text).map_err(|_| ValueError::NotUtf8)
}

impl OptRead for bool {
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        match text {
            b"on" | b"yes" | b"true" | b"y" => Ok(true),
            b"off" | b"no" | b"false" | b"n" => Ok(false),
            _ => Err(ValueError::expected("`on` or `off`")),
        }
    }
}

macro_rules! integers {
    ($($ty:ident)*) => {$(
        impl OptRead for $ty {
            fn read_value(text: &[u8]) -> Result<Self, ValueError> {
                let text = utf8(text)?;
                // Octal to QEMU. (`qemu_strtou64` with base 0, util/cutils.c)
                let digits = text.strip_prefix('-').unwrap_or(text);
                if digits.len() > 1 && digits.starts_with('0') {
                    return Err(ValueError::expected(concat!(
                        "a whole number of type ",
                        stringify!($ty),
                        " without a zero before it, which makes QEMU read it as octal"
                    )));
                }
                if text.starts_with('+') {
                    return Err(ValueError::expected("a number without a plus"));
                }
                text.parse().map_err(|_| {
                    ValueError::expected(concat!("a whole number of type ", stringify!($ty)))
                })
            }
        }
    )*};
}
integers!(
    u8 u16 u32 u64 usize i8 i16 i32 i64 isize NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroUsize
);

impl OptRead for Size {
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        Size::parse(utf8(text)?).ok_or_else(|| ValueError::expected("a number with one of the units B, K, M, G, T"))
    }
}

impl OptRead for Id {
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        Ok(Id::parse(utf8(text)?)?)
    }
}

impl OptRead for String {
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        Ok(utf8(text)?.to_owned())
    }
}

impl OptRead for OsString {
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        Ok(OsStr::from_bytes(text).to_owned())
    }
}

impl OptRead for PathBuf {
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        OsString::read_value(text).map(Self::from)
    }
}

macro_rules! pointers {
    ($($name:ident)*) => {$(
        impl<T: OptRead> OptRead for $name<T> {
            fn read_value(text: &[u8]) -> Result<Self, ValueError> {
                T::read_value(text).map(Self::new)
            }
        }

        impl OptRead for $name<str> {
            fn read_value(text: &[u8]) -> Result<Self, ValueError> {
                Ok(utf8(text)?.into())
            }
        }
    )*};
}
pointers!(Box Rc Arc);

macro_rules! parsed {
    ($($ty:ty: $what:literal;)*) => {$(
        impl OptRead for $ty {
            fn read_value(text: &[u8]) -> Result<Self, ValueError> {
                utf8(text)?.parse().map_err(|_| ValueError::expected($what))
            }
        }
    )*};
}
parsed! {
    char: "one character";
    IpAddr: "an IP address";
    Ipv4Addr: "an IPv4 address";
    Ipv6Addr: "an IPv6 address";
}

impl<T: ToOwned + ?Sized> OptRead for Cow<'_, T>
where
    T::Owned: OptRead,
{
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        T::Owned::read_value(text).map(Self::Owned)
    }
}
