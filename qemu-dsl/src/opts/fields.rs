//! What the derive makes of fields: constants, and one array of references.
//!
//! Compile time follows expressions and function bodies. So a struct's keys are one array, their documentation one text, and what must
//! hold of values a few notes; and writing is one call, whose loop is compiled here once.

use std::ops::Range;

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

/// The most fields that the derive takes.
const MAX_FIELDS: usize = 64;

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
    // Where the text of each field begins, and that of the last one ends.
    let mut bounds = [writer.len(); MAX_FIELDS + 1];
    for ((key, part), end) in fields.keys.iter().zip(parts).zip(&mut bounds[1..]) {
        part.write(key, writer);
        *end = writer.len();
    }
    let text = |number: u8| bounds[usize::from(number)]..bounds[usize::from(number) + 1];
    for note in fields.notes {
        let option = text(note.field);
        if option.is_empty() {
            continue;
        }
        match note.what {
            What::Needs(other) if text(other).is_empty() => {
                let other = name(fields.keys[usize::from(other)]);
                refuse(writer, fields, note, format!("it needs `{other}`: set both, or leave both out"));
            }
            What::Conflicts(other) if !text(other).is_empty() => {
                let other = name(fields.keys[usize::from(other)]);
                refuse(writer, fields, note, format!("it does not go with `{other}`: leave one of them out"));
            }
            What::Needs(_) | What::Conflicts(_) => {}
            _ => check_value(writer, fields, note, &option),
        }
    }
}

/// What must hold of the value of an option that stands there in the text.
fn check_value(writer: &mut OptWriter<'_>, fields: &Fields, note: &Note, option: &Range<usize>) {
    let text = fields.keys[usize::from(note.field)];
    let key = || Key::new(name(text));
    let (from, to) = match note.what {
        What::Since(version, text) => return writer.require(&key().since(version, text)),
        What::Until(version, text) => return writer.require(&key().until(version, text)),
        What::Unique(name) => return writer.claim_value(name, option, text),
        What::Range(from, to) => (from, to),
        What::PowerOfTwo => (1, i128::MAX),
        What::Needs(_) | What::Conflicts(_) => return,
    };
    match number(writer.value_at(option, text)) {
        None => refuse(writer, fields, note, "it is no number, and the option has a range".to_owned()),
        Some(value) if (from..=to).contains(&value) && (note.what != What::PowerOfTwo || value.count_ones() == 1) => {}
        Some(value) => refuse_number(writer, fields, note, value),
    }
}

#[cold]
fn refuse(writer: &mut OptWriter<'_>, fields: &Fields, note: &Note, reason: String) {
    writer.refuse(name(fields.keys[usize::from(note.field)]), reason);
}

/// All rules of the field in one sentence.
#[cold]
fn refuse_number(writer: &mut OptWriter<'_>, fields: &Fields, note: &Note, value: i128) {
    let rules = || fields.notes.iter().filter(|other| other.field == note.field).map(|other| other.what);
    let power = if rules().any(|what| what == What::PowerOfTwo) { "a power of two" } else { "" };
    let range = rules().find_map(|what| match what {
        What::Range(from, to) => Some(format!("{from} to {to}")),
        _ => None,
    });
    let comma = if power.is_empty() || range.is_none() { "" } else { ", " };
    let range = range.unwrap_or_default();
    refuse(writer, fields, note, format!("{value} does not fit: choose {power}{comma}{range}"));
}

/// A number as it is written, sizes included.
#[inline]
fn number(text: &[u8]) -> Option<i128> {
    // Nearly always a few digits.
    if !(1..19).contains(&text.len()) {
        return any_number(text);
    }
    let mut number = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return any_number(text);
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number.into())
}

#[cold]
fn any_number(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().or_else(|| super::Size::parse(text).map(|size| size.as_bytes().into()))
}
