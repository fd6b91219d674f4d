use super::Key;

/// What a type can say to QEMU: its head and its options. Made by the derive.
///
/// ```
/// use qemu_dsl::backend::Drive;
/// use qemu_dsl::opts::{OptType, QemuOpts};
///
/// let bps = Drive::SCHEMA.fields.iter().find(|field| field.key.name == "bps").unwrap();
/// assert!(bps.doc.contains("bytes"));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// What the text starts with.
    pub head: Head,
    /// The options, in the order in which they are written.
    pub fields: &'static [FieldSchema],
}

/// What the text of an option group starts with.
///
/// ```
/// use qemu_dsl::device::VirtioBlk;
/// use qemu_dsl::opts::{Head, QemuOpts};
/// assert!(matches!(VirtioBlk::SCHEMA.head, Head::Virtio("virtio-blk")));
/// ```
#[derive(Debug, Clone, Copy)]
pub enum Head {
    /// Nothing: the first option comes first.
    None,
    /// A fixed name.
    Implied(&'static str),
    /// A fixed name and a suffix for the machine's virtio transport, `-device` or `-pci`.
    Virtio(&'static str),
    /// One of several names, each with options of its own.
    Variants {
        /// The key that the name is the value of; [`None`] where the name is the implied head.
        tag: Option<&'static str>,
        /// The names.
        variants: &'static [VariantSchema],
    },
}

/// One variant of an enum.
///
/// ```
/// use qemu_dsl::backend::Netdev;
/// use qemu_dsl::opts::{Head, QemuOpts};
/// let Head::Variants { variants, .. } = Netdev::SCHEMA.head else { panic!("an enum") };
/// let stream = variants.iter().find(|variant| variant.key.name == "stream").unwrap();
/// assert_eq!(stream.key.since, Some(((7, 2), "7.2")));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct VariantSchema {
    /// The name that stands in the text, and the versions that have it.
    pub key: Key,
    /// The options of this variant.
    pub fields: &'static [FieldSchema],
    /// The documentation, first paragraph.
    pub doc: &'static str,
}

/// One option.
///
/// ```
/// use qemu_dsl::device::VirtioBalloon;
/// use qemu_dsl::opts::QemuOpts;
/// let keys: Vec<_> = VirtioBalloon::SCHEMA.fields.iter().map(|field| field.key.name).collect();
/// assert_eq!(keys, ["deflate-on-oom", "free-page-reporting"]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FieldSchema {
    /// The key and the versions that have it. A flattened group has its prefix here.
    pub key: Key,
    /// What it holds.
    pub kind: FieldKind,
    /// The documentation, first paragraph.
    pub doc: &'static str,
}

/// What a field holds.
///
/// ```
/// use qemu_dsl::opts::{FieldKind, OptField, OptType};
/// assert_eq!(<Option<bool> as OptField>::TYPE, OptType::Bool);
/// let _ = FieldKind::Value(OptType::Bool);
/// ```
#[derive(Debug, Clone, Copy)]
pub enum FieldKind {
    /// A value.
    Value(OptType),
    /// Further options, at the same level or behind a prefix.
    Flatten(&'static Schema),
}

/// The type of an option's value.
///
/// ```
/// use qemu_dsl::opts::{OptType, OptValue};
/// assert_eq!(<str as OptValue>::TYPE, OptType::Text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptType {
    /// `on` or `off`.
    Bool,
    /// A whole number.
    Integer,
    /// A number of bytes.
    Size,
    /// Any text but NUL.
    Text,
    /// A path or file name, which need not be UTF-8.
    Path,
    /// The id of something else.
    Reference(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
}
