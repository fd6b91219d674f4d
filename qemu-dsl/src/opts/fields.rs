//! What the derive makes of fields: constants, and one array of references.
//!
//! Compile time follows expressions and function bodies. So a struct's keys are one array, their documentation one text, and what must
//! hold of values a few notes; and writing is one call, whose loop is compiled here once.

use super::schema::{FieldKind, FieldSchema, Head, OptType, Schema};
use super::{Key, OptField, OptWriter};

/// The options of one struct or variant.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// `,key=`; a group has `,prefix=`.
    pub keys: &'static [&'static str],
    /// What each holds.
    pub kinds: &'static [Kind],
    /// The documentation: a line each.
    pub docs: &'static str,
    /// What must hold, in the order of the fields.
    pub notes: &'static [Note],
}

impl Fields {
    /// No fields.
    pub const NONE: Self = Self { keys: &[], kinds: &[], docs: "", notes: &[] };

    pub(super) fn get(self, number: usize) -> FieldSchema {
        let mut key = Key::new(name(self.keys[number]));
        for note in self.notes.iter().filter(|note| usize::from(note.field) == number) {
            match note.what {
                What::Since(version, text) => key = key.since(version, text),
                What::Until(version, text) => key = key.until(version, text),
                _ => {}
            }
        }
        let Kind { kind, is_required } = self.kinds[number];
        let doc = self.docs.split('\n').nth(number).unwrap_or_default();
        FieldSchema { key, kind, doc, is_required, number, of: Some(self) }
    }
}

/// The key in `,key=`.
pub(super) const fn name(text: &'static str) -> &'static str {
    match text.as_bytes() {
        [b',', .., b'='] => text.split_at(text.len() - 1).0.split_at(1).1,
        _ => text,
    }
}

/// What a field holds, and whether it always does.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub(super) kind: FieldKind,
    pub(super) is_required: bool,
}

impl Kind {
    /// One value.
    pub const fn value(ty: OptType) -> Self {
        Self { kind: FieldKind::Value(ty), is_required: true }
    }

    /// Further options.
    pub const fn group(schema: &'static Schema) -> Self {
        Self { kind: FieldKind::Flatten(schema), is_required: false }
    }

    /// Any number of values.
    pub const fn list(ty: OptType) -> Self {
        Self { kind: FieldKind::List(ty), is_required: false }
    }

    /// Any number of groups.
    pub const fn groups(schema: &'static Schema) -> Self {
        Self { kind: FieldKind::Groups(schema), is_required: false }
    }

    /// The same, which need not be there.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { is_required: false, ..self }
    }
}

/// What must hold of the value of an option.
///
/// [`FieldSchema`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// It is between these numbers, both included; sizes count bytes.
    Range {
        /// The least.
        from: i128,
        /// The most.
        to: i128,
    },
    /// It is a power of two.
    PowerOfTwo,
    /// No two values of this kind in a VM are equal.
    Unique(&'static str),
    /// It is there with this other option only.
    Needs(&'static str),
    /// It is never there together with this other option.
    Conflicts(&'static str),
}

/// What must hold of one field.
#[derive(Debug, Clone, Copy)]
pub struct Note {
    pub(super) field: u8,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Since((u16, u16), &'static str),
    Until((u16, u16), &'static str),
    Range(i128, i128),
    PowerOfTwo,
    Unique(&'static str),
    Needs(u8),
    Conflicts(u8),
}

macro_rules! notes {
    ($($name:ident($($argument:ident: $ty:ty),*) $what:expr;)*) => {
        impl Note {
            $(#[doc(hidden)]
            pub const fn $name(field: u8, $($argument: $ty),*) -> Self {
                Self { field, what: $what }
            })*
        }
    };
}
notes! {
    since(version: (u16, u16), text: &'static str) What::Since(version, text);
    until(version: (u16, u16), text: &'static str) What::Until(version, text);
    range(from: i128, to: i128) What::Range(from, to);
    power_of_two() What::PowerOfTwo;
    unique(name: &'static str) What::Unique(name);
    needs(other: u8) What::Needs(other);
    conflicts(other: u8) What::Conflicts(other);
}

impl Note {
    pub(super) fn rule(self, of: Fields) -> Option<Rule> {
        let key = |number: u8| name(of.keys[usize::from(number)]);
        Some(match self.what {
            What::Since(..) | What::Until(..) => return None,
            What::Range(from, to) => Rule::Range { from, to },
            What::PowerOfTwo => Rule::PowerOfTwo,
            What::Unique(name) => Rule::Unique(name),
            What::Needs(other) => Rule::Needs(key(other)),
            What::Conflicts(other) => Rule::Conflicts(key(other)),
        })
    }
}

/// A field of any type, as the derive hands it over.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a QEMU option",
    label = "not an option value"
)]
pub trait Part {
    /// Writes all that the field says; `key` is `,key=`.
    fn write(&self, key: &'static str, writer: &mut OptWriter<'_>);
}

impl<T: OptField> Part for T {
    #[inline]
    fn write(&self, key: &'static str, writer: &mut OptWriter<'_>) {
        self.write_field(key, writer);
    }
}

/// A field that says nothing.
pub const NOTHING: &dyn Part = &None::<bool>;

/// A flattened group.
pub struct Group<'a, T: ?Sized>(&'a T, fn(&T, &mut OptWriter<'_>));

/// A field that is a group.
#[inline]
pub fn group<T>(group: &T, write: fn(&T, &mut OptWriter<'_>)) -> Group<'_, T> {
    Group(group, write)
}

impl<T> Part for Group<'_, T> {
    fn write(&self, key: &'static str, writer: &mut OptWriter<'_>) {
        writer.behind(name(key), None, |writer| (self.1)(self.0, writer));
    }
}

/// A list.
pub struct List<'a, T: ?Sized>(&'a T, fn(&T, &'static str, &mut OptWriter<'_>));

/// A field that is a list.
#[inline]
pub fn list<T>(list: &T, write: fn(&T, &'static str, &mut OptWriter<'_>)) -> List<'_, T> {
    List(list, write)
}

impl<T> Part for List<'_, T> {
    fn write(&self, key: &'static str, writer: &mut OptWriter<'_>) {
        (self.1)(self.0, name(key), writer);
    }
}

/// Writes a struct: its head, and then its fields.
pub fn write(writer: &mut OptWriter<'_>, schema: &'static Schema, parts: &[&dyn Part]) {
    match schema.head {
        Head::Implied(head) => writer.implied(head),
        Head::Virtio(head) => writer.virtio(head),
        Head::None | Head::Variants { .. } => {}
    }
    if let super::schema::Listed::Derived(fields) = &schema.fields {
        write_fields(writer, fields, parts);
    }
}

/// Writes one variant of an enum.
pub fn write_variant(writer: &mut OptWriter<'_>, schema: &'static Schema, number: usize, parts: &[&dyn Part]) {
    let Head::Variants { tag, variants } = schema.head else { return };
    let variant = &variants[number];
    writer.require(&variant.key);
    match tag {
        None => writer.implied(variant.key.name),
        Some(tag) => writer.option(&Key::new(tag), variant.key.name),
    }
    if let super::schema::Listed::Derived(fields) = &variant.fields {
        write_fields(writer, fields, parts);
    }
}

#[inline]
fn write_fields(writer: &mut OptWriter<'_>, fields: &Fields, parts: &[&dyn Part]) {
    if !fields.notes.is_empty() {
        return write_noted(writer, fields, parts);
    }
    for (key, part) in fields.keys.iter().zip(parts) {
        part.write(key, writer);
    }
}

// By themselves, so that the loop above stays small: most structs have no rules.
#[inline(never)]
fn write_noted(writer: &mut OptWriter<'_>, fields: &Fields, parts: &[&dyn Part]) {
    let mut notes = fields.notes;
    let (mut written, mut relations) = (0_u64, false);
    for (number, (key, part)) in fields.keys.iter().zip(parts).enumerate() {
        let start = writer.len();
        part.write(key, writer);
        let is_written = writer.len() != start;
        // The derive takes no more than 64 fields.
        written |= u64::from(is_written) << (number & 63);
        // Most fields have none.
        while let [note, rest @ ..] = notes
            && usize::from(note.field) == number
        {
            notes = rest;
            if is_written {
                relations |= matches!(note.what, What::Needs(_) | What::Conflicts(_));
                check_value(writer, fields, *note, start);
            }
        }
    }
    if relations {
        check_relations(writer, fields, written);
    }
}

/// What must hold of the value that stands at the end of the text, from `start` on.
#[inline(never)]
fn check_value(writer: &mut OptWriter<'_>, fields: &Fields, note: Note, start: usize) {
    let text = fields.keys[usize::from(note.field)];
    let key = || name(text);
    let (from, to) = match note.what {
        What::Since(version, text) => return writer.require(&Key::new(key()).since(version, text)),
        What::Until(version, text) => return writer.require(&Key::new(key()).until(version, text)),
        What::Unique(name) => return writer.claim_value(name, start, text),
        What::Range(from, to) => (from, to),
        What::PowerOfTwo => (1, i128::MAX),
        What::Needs(_) | What::Conflicts(_) => return,
    };
    let is_power = |value: i128| u128::try_from(value).is_ok_and(u128::is_power_of_two);
    match number(writer.value_from(start, text)) {
        None => writer.refuse(key(), "it is no number, and the option has a range"),
        Some(value) if (from..=to).contains(&value) && (note.what != What::PowerOfTwo || is_power(value)) => {}
        Some(value) => {
            // All rules in one sentence.
            let rules = || fields.notes.iter().filter(|other| other.field == note.field).map(|other| other.what);
            let power = if rules().any(|what| what == What::PowerOfTwo) { "a power of two" } else { "" };
            let range = rules().find_map(|what| match what {
                What::Range(from, to) => Some(format!("{from} to {to}")),
                _ => None,
            });
            let comma = if power.is_empty() || range.is_none() { "" } else { ", " };
            let range = range.unwrap_or_default();
            writer.refuse(key(), format!("{value} does not fit: choose {power}{comma}{range}"));
        }
    }
}

/// A number as it is written, sizes included.
fn number(text: &[u8]) -> Option<i128> {
    // Nearly always a few digits.
    let digit = |number: u64, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'));
    if (1..19).contains(&text.len())
        && let Some(number) = text.iter().try_fold(0, digit)
    {
        return Some(number.into());
    }
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().or_else(|| super::Size::parse(text).map(|size| size.as_bytes().into()))
}

/// What fields say of each other.
#[inline(never)]
fn check_relations(writer: &mut OptWriter<'_>, fields: &Fields, written: u64) {
    let is_written = |number: u8| written >> (number & 63) & 1 == 1;
    let key = |number: u8| name(fields.keys[usize::from(number)]);
    for note in fields.notes.iter().filter(|note| is_written(note.field)) {
        let reason = match note.what {
            What::Needs(other) if !is_written(other) => {
                format!("it needs `{}`: set both, or leave both out", key(other))
            }
            What::Conflicts(other) if is_written(other) => {
                format!("it does not go with `{}`: leave one of them out", key(other))
            }
            _ => continue,
        };
        writer.refuse(key(note.field), reason);
    }
}
