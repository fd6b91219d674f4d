use super::fields::Fields;
use super::{Key, Rule};

/// What a type can say to QEMU: its head and its options. Made by the derive.
///
/// ```
/// use qemu_dsl::backend::Drive;
/// use qemu_dsl::opts::{OptType, QemuOpts};
///
/// let bps = Drive::SCHEMA.fields().find(|field| field.key.name == "bps").unwrap();
/// assert!(bps.doc.contains("bytes"));
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Schema {
    /// What the text starts with.
    pub head: Head,
    pub(super) fields: Listed,
}

/// Options, as constants that cost a compiler little, or as a hand writes them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed {
    Derived(Fields),
    ByHand(&'static [FieldSchema]),
}

impl Schema {
    /// A schema that is written by hand.
    ///
    /// ```
    /// use qemu_dsl::opts::{FieldSchema, Head, Key, OptType, Schema};
    /// const LAMP: Schema = Schema::new(Head::Implied("lamp"), &[FieldSchema::new(Key::new("watt"), OptType::Integer, "How bright.")]);
    /// assert_eq!(LAMP.fields().next().unwrap().key.name, "watt");
    /// ```
    pub const fn new(head: Head, fields: &'static [FieldSchema]) -> Self {
        Self { head, fields: Listed::ByHand(fields) }
    }

    /// For the derive.
    #[doc(hidden)]
    pub const fn derived(head: Head, fields: Fields) -> Self {
        Self { head, fields: Listed::Derived(fields) }
    }

    /// The options, in the order in which they are written.
    pub fn fields(&self) -> impl Iterator<Item = FieldSchema> + Clone {
        self.fields.iter()
    }
}

impl Listed {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Derived(fields) => fields.keys.len(),
            Self::ByHand(fields) => fields.len(),
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = FieldSchema> + Clone {
        (0..self.len()).map(move |number| match self {
            Self::Derived(fields) => fields.get(number),
            Self::ByHand(fields) => fields[number],
        })
    }
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
#[non_exhaustive]
pub struct VariantSchema {
    /// The name that stands in the text, and the versions that have it.
    pub key: Key,
    /// The documentation, first paragraph.
    pub doc: &'static str,
    pub(super) fields: Listed,
}

impl VariantSchema {
    /// For the derive.
    #[doc(hidden)]
    pub const fn derived(key: Key, doc: &'static str, fields: Fields) -> Self {
        Self { key, doc, fields: Listed::Derived(fields) }
    }

    /// The options of this variant.
    pub fn fields(&self) -> impl Iterator<Item = FieldSchema> + Clone {
        self.fields.iter()
    }
}

/// One option.
///
/// ```
/// use qemu_dsl::device::VirtioBlk;
/// use qemu_dsl::opts::{QemuOpts, Rule};
/// let queues = VirtioBlk::SCHEMA.fields().find(|field| field.key.name == "num-queues").unwrap();
/// assert!(!queues.is_required);
/// assert!(matches!(queues.rules().next(), Some(Rule::Range { from: 1, to: 1024 })));
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FieldSchema {
    /// The key and the versions that have it. A flattened group has its prefix here.
    pub key: Key,
    /// What it holds.
    pub kind: FieldKind,
    /// The documentation, first paragraph.
    pub doc: &'static str,
    /// Whether it always has a value.
    pub is_required: bool,
    pub(super) number: usize,
    pub(super) of: Option<Fields>,
}

impl FieldSchema {
    /// An option that is described by hand; it need not be set. [`Schema::new`] has an example.
    pub const fn new(key: Key, ty: OptType, doc: &'static str) -> Self {
        Self { key, kind: FieldKind::Value(ty), doc, is_required: false, number: 0, of: None }
    }

    /// What must hold of the value, but for the versions, which are the key's.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        let Self { number, of, .. } = *self;
        let notes = of.map_or(&[] as &[_], |fields| fields.notes);
        notes.iter().filter(move |note| usize::from(note.field) == number).filter_map(move |note| note.rule(of?))
    }
}

/// What a field holds.
///
/// ```
/// use qemu_dsl::opts::{FieldKind, OptField, OptType};
/// assert_eq!(<Option<bool> as OptField>::TYPE, OptType::Bool);
/// let _ = FieldKind::Value(OptType::Bool);
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum FieldKind {
    /// A value.
    Value(OptType),
    /// Further options, at the same level or behind a prefix.
    Flatten(&'static Schema),
    /// Any number of values: `key.0=`, `key.1=`.
    List(OptType),
    /// Any number of groups: `key.0.a=`, `key.0.b=`, `key.1.a=`.
    Groups(&'static Schema),
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
