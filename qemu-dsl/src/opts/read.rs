use std::borrow::Cow;

use super::{
    FieldKind, FieldSchema, Head, QemuOpts, ReadError, Schema, ValueError, VariantSchema, end_of_value, unescape,
};
use crate::text::beginning;

/// Reading an option text back into its type. Made by the derive where `#[qemu(read)]` asks for it.
///
/// ```
/// use qemu_dsl::opts::{QemuOpts, ReadOpts};
///
/// #[derive(QemuOpts, Debug, PartialEq)]
/// #[qemu(implied = "edu", read)]
/// struct Edu { dma_mask: Option<u64> }
///
/// assert_eq!(Edu::read_opts(b"edu,dma-mask=255").unwrap(), Edu { dma_mask: Some(255) });
/// let error = Edu::read_opts(b"edu,dma-mark=255").unwrap_err();
/// assert_eq!(error.to_string(), "there is no option `dma-mark` (at byte 4); did you mean `dma-mask`?");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read back from option text",
    label = "no reading back",
    note = "add `read` to its `#[qemu(...)]`; what holds handles of a VM cannot be read: a handle comes from a builder, never from text"
)]
pub trait ReadOpts: QemuOpts + Sized {
    /// Takes this type's options out of `reader`.
    ///
    /// # Errors
    ///
    /// A head, an option or a value that is not of this type.
    fn read_from(reader: &mut OptReader<'_>) -> Result<Self, ReadError>;

    /// Reads a whole argument. An option that the type does not have is an error.
    ///
    /// # Errors
    ///
    /// [`ReadError`] names the option and where it stands.
    fn read_opts(text: &[u8]) -> Result<Self, ReadError> {
        if text.len() > MAX_LEN {
            return Err(ReadError::TooLong { len: text.len(), max: MAX_LEN });
        }
        if let Some(offset) = memchr::memchr(0, text) {
            return Err(ReadError::Nul { offset });
        }
        let mut reader = OptReader::new(text);
        let value = Self::read_from(&mut reader)?;
        reader.finish(Self::SCHEMA)?;
        Ok(value)
    }
}

/// The longest argument that Linux hands to a program, without its NUL. (`MAX_ARG_STRLEN`, include/uapi/linux/binfmts.h)
const MAX_LEN: usize = (128 << 10) - 1;

/// A group that is there if one of its keys is.
impl<T: ReadOpts> ReadOpts for Option<T> {
    fn read_from(reader: &mut OptReader<'_>) -> Result<Self, ReadError> {
        if reader.has_any(T::SCHEMA) { T::read_from(reader).map(Some) } else { Ok(None) }
    }
}

/// A value that can be read back.
///
/// ```
/// use qemu_dsl::opts::OptRead;
/// assert_eq!(bool::read_value(b"on"), Ok(true));
/// assert_eq!(u8::read_value(b"256").unwrap_err().to_string(), "expected a whole number of type u8");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read back from option text",
    label = "no reading back",
    note = "implement `OptRead` for it (for an enum of words: `#[qemu(value, read)]`), or leave `read` out"
)]
pub trait OptRead: Sized {
    /// Reads the value; `text` has its commas undoubled.
    ///
    /// # Errors
    ///
    /// [`ValueError`] says what would have been right.
    fn read_value(text: &[u8]) -> Result<Self, ValueError>;
}

/// A field that can be read back: an [`OptRead`], or an [`Option`] of one.
///
/// ```
/// use qemu_dsl::opts::OptReadField;
/// assert_eq!(<Option<u8> as OptReadField>::read_field(None), Ok(Some(None)));
/// assert_eq!(<u8 as OptReadField>::read_field(None), Ok(None));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read back from option text",
    label = "no reading back",
    note = "implement `OptRead` for it (for an enum of words: `#[qemu(value, read)]`), or leave `read` out"
)]
pub trait OptReadField: Sized {
    /// The field from its value, if the text has one; [`None`] when it needs one and there is none.
    ///
    /// # Errors
    ///
    /// [`ValueError`] says what would have been right.
    fn read_field(value: Option<&[u8]>) -> Result<Option<Self>, ValueError>;
}

#[diagnostic::do_not_recommend]
impl<T: OptRead> OptReadField for T {
    fn read_field(value: Option<&[u8]>) -> Result<Option<Self>, ValueError> {
        value.map(T::read_value).transpose()
    }
}

#[diagnostic::do_not_recommend]
impl<T: OptRead> OptReadField for Option<T> {
    fn read_field(value: Option<&[u8]>) -> Result<Option<Self>, ValueError> {
        value.map(T::read_value).transpose().map(Some)
    }
}

/// A list that can be read back: `key.0=`, `key.1=`.
///
/// ```
/// use qemu_dsl::opts::{QemuOpts, ReadOpts};
/// #[derive(QemuOpts)]
/// #[qemu(read)]
/// struct Search { #[qemu(list)] dnssearch: Vec<String> }
/// assert_eq!(Search::read_opts(b"dnssearch.0=a,dnssearch.1=b").unwrap().dnssearch, ["a", "b"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read back from option text",
    label = "no reading back",
    note = "a `Vec` of what can be read back can; for others, leave `read` out"
)]
pub trait OptReadList: Sized {
    /// The list from its elements.
    ///
    /// # Errors
    ///
    /// The number of the element, and what would have been right.
    fn read_list(values: &[&[u8]]) -> Result<Self, (usize, ValueError)>;
}

#[diagnostic::do_not_recommend]
impl<T: OptRead> OptReadList for Vec<T> {
    fn read_list(values: &[&[u8]]) -> Result<Self, (usize, ValueError)> {
        values.iter().enumerate().map(|(number, value)| T::read_value(value).map_err(|error| (number, error))).collect()
    }
}

/// One option, where it stands.
struct Entry<'a> {
    /// The whole word, where no value stands behind it: a `no` before it is its value.
    word: Option<&'a [u8]>,
    key: &'a [u8],
    key_at: usize,
    value_at: usize,
}

/// What has been taken: every option of this key, or the elements of this list below a number.
enum Taken {
    Key(String),
    List(String, usize),
}

impl Taken {
    fn is(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(taken) => taken.as_bytes() == key,
            Self::List(list, count) => element(key, list).is_some_and(|number| number < *count),
        }
    }
}

/// The number in `key.7`, written as QEMU writes it.
fn element(key: &[u8], list: &str) -> Option<usize> {
    let digits = key.strip_prefix(list.as_bytes())?.strip_prefix(b".")?;
    let is_canonical = digits == b"0" || digits.first().is_some_and(|digit| (b'1'..=b'9').contains(digit));
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| is_canonical)
}

/// An argument, split into its head and options the way QEMU splits it.
///
/// Nothing of the text is kept but where it is: each question walks through it. So a text of options that nobody has costs no memory.
///
/// The derive calls it; [`ReadOpts`] has an example of what it does.
pub struct OptReader<'a> {
    head: Option<&'a [u8]>,
    prefixes: Vec<&'static str>,
    taken: Vec<Taken>,
    text: &'a [u8],
}

/// The options in a text, behind its head.
struct Entries<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let (text, at) = (self.text, self.at);
            let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
            let stop = memchr::memchr2(b',', b'=', rest).unwrap_or(rest.len());
            if rest.get(stop) == Some(&b'=') {
                let value_at = at + stop + 1;
                self.at = end_of_value(text, value_at) + 1;
                return Some(Entry { word: None, key: &rest[..stop], key_at: at, value_at });
            }
            self.at += stop + 1;
            if at > 0 {
                let word = &rest[..stop];
                let key = word.strip_prefix(b"no").unwrap_or(word);
                return Some(Entry { word: Some(word), key, key_at: at, value_at: at });
            }
            // The head.
        }
    }
}

impl<'a> Entry<'a> {
    /// `word` means `word=on`, `noword` means `word=off`.
    fn value(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        match self.word {
            Some(word) if word.starts_with(b"no") => Cow::Borrowed(b"off"),
            Some(_) => Cow::Borrowed(b"on"),
            None => unescape(&text[self.value_at..end_of_value(text, self.value_at)]),
        }
    }
}

impl<'a> OptReader<'a> {
    /// Splits `text`. Whatever the text is, this finds some head and options in it, as QEMU would.
    pub fn new(text: &'a [u8]) -> Self {
        let stop = memchr::memchr2(b',', b'=', text).unwrap_or(text.len());
        let has_head = !text.is_empty() && text.get(stop) != Some(&b'=');
        Self { head: has_head.then(|| &text[..stop]), prefixes: Vec::new(), taken: Vec::new(), text }
    }

    fn entries(&self) -> Entries<'a> {
        Entries { text: self.text, at: 0 }
    }

    /// Takes the head, if it is `name` (or `name` with a virtio suffix, where `virtio` is set).
    ///
    /// # Errors
    ///
    /// [`ReadError::Head`] when it is another one.
    pub fn take_head(&mut self, name: &'static str, virtio: bool) -> Result<(), ReadError> {
        let Some(found) = self.head.take() else { return Err(self.no_head(&[name])) };
        let fits = if virtio {
            found.strip_prefix(name.as_bytes()).is_some_and(|suffix| matches!(suffix, b"" | b"-device" | b"-pci"))
        } else {
            found == name.as_bytes()
        };
        if fits { Ok(()) } else { Err(head_error(name.to_owned(), found)) }
    }

    /// Takes the name of an enum's variant, the head or the value of `tag`, and returns its number in `names`.
    ///
    /// # Errors
    ///
    /// [`ReadError::Missing`] when there is no such tag, [`ReadError::Head`] for another name.
    pub fn take_variant(&mut self, tag: Option<&'static str>, names: &[&str]) -> Result<usize, ReadError> {
        let number = |found: &[u8]| {
            let number = names.iter().position(|name| name.as_bytes() == found);
            number.ok_or_else(|| head_error(names.join("`, `"), found))
        };
        match tag {
            None => match self.head.take() {
                Some(found) => number(found),
                None => Err(self.no_head(names)),
            },
            Some(tag) => match self.take_entry(tag) {
                Some((_, value)) => number(&value),
                None => Err(ReadError::Missing { option: tag.to_owned() }),
            },
        }
    }

    /// The error for a text that starts with an option where a name belongs.
    fn no_head(&self, names: &[&str]) -> ReadError {
        let end = memchr::memchr(b',', self.text).unwrap_or(self.text.len());
        ReadError::NoHead { expected: names.join("`, `"), found: shown(&self.text[..end]) }
    }

    /// Takes the field `key`. Of several values the last one counts, as in QEMU.
    ///
    /// # Errors
    ///
    /// A value of the wrong type, or none where one is needed.
    pub fn take<T: OptReadField>(&mut self, key: &'static str) -> Result<T, ReadError> {
        self.take_or(key, || None)
    }

    /// Takes the field `key`, or its default when the text does not have it.
    ///
    /// # Errors
    ///
    /// A value of the wrong type.
    pub fn take_or_default<T: OptReadField + Default>(&mut self, key: &'static str) -> Result<T, ReadError> {
        self.take_or(key, || Some(T::default()))
    }

    fn take_or<T: OptReadField>(
        &mut self,
        key: &'static str,
        absent: impl FnOnce() -> Option<T>,
    ) -> Result<T, ReadError> {
        let (value, offset) = self.take_entry(key).map_or((None, 0), |(offset, value)| (Some(value), offset));
        let value = value.as_deref();
        if value.is_none()
            && let Some(default) = absent()
        {
            return Ok(default);
        }
        match T::read_field(value) {
            Ok(Some(field)) => Ok(field),
            Ok(None) => Err(ReadError::Missing { option: key.to_owned() }),
            Err(source) => {
                let value = shown(value.unwrap_or_default());
                Err(ReadError::Value { option: key.to_owned(), offset, value, source })
            }
        }
    }

    /// Takes the list `key`: `key.0`, `key.1`, and so on.
    ///
    /// # Errors
    ///
    /// An element of the wrong type.
    pub fn take_list<T: OptReadList>(&mut self, key: &'static str) -> Result<T, ReadError> {
        let list = self.prefixes.concat() + key;
        let mut found: Vec<(usize, Entry<'a>)> = Vec::new();
        for entry in self.entries() {
            if let Some(number) = element(entry.key, &list) {
                found.push((number, entry));
            }
        }
        // Of several values the last one counts, and the list ends where a number is missing.
        found.reverse();
        found.sort_by_key(|(number, _)| *number);
        found.dedup_by_key(|(number, _)| *number);
        let count = found.iter().enumerate().take_while(|(at, (number, _))| at == number).count();
        found.truncate(count);
        self.taken.push(Taken::List(list, count));
        let values: Vec<Cow<'_, [u8]>> = found.iter().map(|(_, entry)| entry.value(self.text)).collect();
        let values: Vec<&[u8]> = values.iter().map(|value| &**value).collect();
        T::read_list(&values).map_err(|(number, source)| {
            let (_, entry) = &found[number];
            ReadError::Value { option: shown(entry.key), offset: entry.value_at, value: shown(values[number]), source }
        })
    }

    /// Whether a key of this group is there.
    fn has_any(&self, schema: &'static Schema) -> bool {
        let mut keys = Vec::new();
        all_keys(schema, "", &mut keys);
        let prefix = self.prefixes.concat();
        let mut unread = self.entries().filter_map(|entry| entry.key.strip_prefix(prefix.as_bytes()));
        match schema.head {
            Head::Implied(_) | Head::Virtio(_) | Head::Variants { tag: None, .. } if self.head.is_some() => true,
            _ => unread.any(|key| {
                keys.iter().any(|known| {
                    let rest = key.strip_prefix(known.as_bytes());
                    rest.is_some_and(|rest| rest.is_empty() || known.ends_with('.'))
                })
            }),
        }
    }

    /// Reads a flattened group, each key behind `prefix`.
    ///
    /// # Errors
    ///
    /// What the group's own reading finds.
    pub fn flatten<T: ReadOpts>(&mut self, prefix: &'static str) -> Result<T, ReadError> {
        self.prefixes.push(prefix);
        let group = T::read_from(self);
        self.prefixes.pop();
        group
    }

    /// Ends the reading: options that nobody took are errors.
    ///
    /// # Errors
    ///
    /// [`ReadError::Unknown`] for the first of them, [`ReadError::Head`] for a head that the type does not have.
    pub fn finish(self, schema: &'static Schema) -> Result<(), ReadError> {
        if let Some(found) = self.head {
            return Err(head_error("key=value".to_owned(), found));
        }
        let unknown = self.entries().find(|entry| !self.taken.iter().any(|taken| taken.is(entry.key)));
        let Some(entry) = unknown else { return Ok(()) };
        Err(ReadError::Unknown {
            option: shown(entry.word.unwrap_or(entry.key)),
            offset: entry.key_at,
            suggestion: closest(entry.key, schema),
        })
    }

    /// The last value of this key, and where it stands; all of them count as taken.
    fn take_entry(&mut self, key: &str) -> Option<(usize, Cow<'a, [u8]>)> {
        let key = self.prefixes.concat() + key;
        let last = self.entries().filter(|entry| entry.key == key.as_bytes()).last();
        self.taken.push(Taken::Key(key));
        last.map(|entry| (entry.value_at, entry.value(self.text)))
    }
}

/// The keys of a schema, those of its groups and variants included. A list has `key.`, since numbers follow.
fn all_keys(schema: &Schema, prefix: &str, out: &mut Vec<String>) {
    let mut one = |field: FieldSchema| {
        let key = format!("{prefix}{}", field.key.name);
        match field.kind {
            FieldKind::Value(_) => out.push(key),
            FieldKind::List(_) | FieldKind::Groups(_) => out.push(key + "."),
            FieldKind::Flatten(group) => all_keys(group, &key, out),
        }
    };
    schema.fields().for_each(&mut one);
    if let Head::Variants { tag, variants } = schema.head {
        variants.iter().flat_map(VariantSchema::fields).for_each(&mut one);
        out.extend(tag.map(|tag| format!("{prefix}{tag}")));
    }
}

/// Text for a message: its beginning, where it is long.
fn shown(text: &[u8]) -> String {
    const MOST: usize = 200;
    let start = beginning(text, MOST);
    if text.len() > MOST { format!("{start} ({} bytes)", text.len()) } else { start }
}

fn head_error(expected: String, found: &[u8]) -> ReadError {
    ReadError::Head { expected, found: shown(found) }
}

/// The key of `schema` that is nearest to `key`, if one is near.
fn closest(key: &[u8], schema: &'static Schema) -> Option<String> {
    let mut keys = Vec::new();
    all_keys(schema, "", &mut keys);
    // What is much longer than all keys is near to none, and comparing it would take its time.
    let longest = keys.iter().map(String::len).max()?;
    if key.len() > 2 * longest {
        return None;
    }
    keys.into_iter()
        .map(|name| (distance(key, name.as_bytes()), name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(2) && *distance < name.len())
        .map(|(_, name)| name)
}

/// How many bytes must be inserted, removed or replaced to make `b` of `a` (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
