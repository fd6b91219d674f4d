//! Parts and their options, as data, family by family.

use super::Schema;

/// The options of one of the library's types. [`catalogue`](crate::catalogue) has an example.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// The flag that they stand behind: `-device`.
    pub flag: &'static str,
    /// The type's name: `VirtioBlk`.
    pub of: &'static str,
    /// The options.
    pub schema: &'static Schema,
}

/// What a family of parts has: one line a part, which makes it public and puts it into the catalogue.
///
/// `pub` parts are named by users; the others are written by the builder's methods. The modules stand outside, where rustfmt finds them. Parts
/// that stand in the same file are listed by their names alone.
macro_rules! family {
    ($flag:literal $name:ident { $($(#[$doc:meta])* $vis:vis $module:ident::$part:ident $(<$param:ty>)?,)* }) => {
        $($(#[$doc])* $vis use $module::$part;)*

        $crate::opts::family! { $flag $name: $($part $(<$param>)?),* }
    };
    ($flag:literal $name:ident: $($part:ident $(<$param:ty>)?),*) => {
        pub(crate) const $name: &[$crate::opts::Described] = &[$($crate::opts::Described {
            flag: $flag,
            of: stringify!($part),
            schema: <$part $(<$param>)? as $crate::opts::QemuOpts>::SCHEMA,
        }),*];
    };
}
pub(crate) use family;
