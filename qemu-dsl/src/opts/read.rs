use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::{Head, Id, QemuOpts, ReadError, Schema, Size, ValueError};

/// Reading an option text back into its type. Made by the derive, unless `#[qemu(write_only)]` says not to.
///
/// ```
/// use qemu_dsl::opts::{QemuOpts, ReadOpts};
///
/// #[derive(QemuOpts, Debug, PartialEq)]
/// #[qemu(implied = "edu")]
/// struct Edu { dma_mask: Option<u64> }
///
/// assert_eq!(Edu::read_opts(b"edu,dma-mask=255").unwrap(), Edu { dma_mask: Some(255) });
/// let error = Edu::read_opts(b"edu,dma-mark=255").unwrap_err();
/// assert_eq!(error.to_string(), "there is no option `dma-mark` (at byte 4); did you mean `dma-mask`?");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read back from option text",
    note = "types that hold handles of a VM are `#[qemu(write_only)]`: a handle comes from a builder, never from text"
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
        let mut reader = OptReader::new(text);
        let value = Self::read_from(&mut reader)?;
        reader.finish(Self::SCHEMA)?;
        Ok(value)
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
    note = "implement `OptRead` for it, or mark the struct `#[qemu(write_only)]`"
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
    note = "implement `OptRead` for it, or mark the struct `#[qemu(write_only)]`"
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

struct Entry<'a> {
    key: Cow<'a, str>,
    value: Cow<'a, [u8]>,
    key_at: usize,
    value_at: usize,
    taken: bool,
}

/// An argument, split into its head and options the way QEMU splits it.
///
/// The derive calls it; [`ReadOpts`] has an example of what it does.
pub struct OptReader<'a> {
    head: Option<&'a [u8]>,
    entries: Vec<Entry<'a>>,
    prefixes: Vec<&'static str>,
}

impl<'a> OptReader<'a> {
    /// Splits `text`. Whatever the text is, this finds some head and options in it, as QEMU would.
    pub fn new(text: &'a [u8]) -> Self {
        let mut head = None;
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let stop = rest.iter().position(|&byte| byte == b',' || byte == b'=').unwrap_or(rest.len());
            if rest.get(stop) == Some(&b'=') {
                let value_at = at + stop + 1;
                let (value, next) = unescape(text, value_at);
                entries.push(Entry {
                    key: String::from_utf8_lossy(&rest[..stop]),
                    value,
                    key_at: at,
                    value_at,
                    taken: false,
                });
                at = next;
            } else {
                let word = &rest[..stop];
                if at == 0 {
                    head = Some(word);
                } else {
                    entries.push(bare_word(word, at));
                }
                at += stop + 1;
            }
        }
        Self { head, entries, prefixes: Vec::new() }
    }

    /// Takes the head, if it is `name` (or `name` with a virtio suffix, where `virtio` is set).
    ///
    /// # Errors
    ///
    /// [`ReadError::Head`] when it is another one.
    pub fn take_head(&mut self, name: &'static str, virtio: bool) -> Result<(), ReadError> {
        let found = self.head.take().unwrap_or_default();
        let fits = if virtio {
            found.strip_prefix(name.as_bytes()).is_some_and(|suffix| matches!(suffix, b"" | b"-device" | b"-pci"))
        } else {
            found == name.as_bytes()
        };
        if fits { Ok(()) } else { Err(head_error(name.to_owned(), found)) }
    }

    /// Takes the name of an enum's variant: the head, or the value of `tag`.
    ///
    /// # Errors
    ///
    /// [`ReadError::Missing`] when there is no such tag.
    pub fn take_variant(&mut self, tag: Option<&'static str>) -> Result<Vec<u8>, ReadError> {
        match tag {
            None => Ok(self.head.take().unwrap_or_default().to_vec()),
            Some(tag) => {
                let entry = self.take_entry(tag).ok_or_else(|| ReadError::Missing { option: tag.to_owned() })?;
                Ok(entry.value.to_vec())
            }
        }
    }

    /// The error for a variant that does not exist.
    pub fn unknown_variant(found: &[u8], names: &[&str]) -> ReadError {
        head_error(names.join("`, `"), found)
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
        let entry = self.take_entry(key);
        let (value, offset) = entry.map_or((None, 0), |entry| (Some(&*entry.value), entry.value_at));
        if value.is_none()
            && let Some(default) = absent()
        {
            return Ok(default);
        }
        let shown = value.map(|value| String::from_utf8_lossy(value).into_owned());
        match T::read_field(value) {
            Ok(Some(field)) => Ok(field),
            Ok(None) => Err(ReadError::Missing { option: key.to_owned() }),
            Err(source) => {
                Err(ReadError::Value { option: key.to_owned(), offset, value: shown.unwrap_or_default(), source })
            }
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
        match self.entries.iter().find(|entry| !entry.taken) {
            None => Ok(()),
            Some(entry) => Err(ReadError::Unknown {
                option: entry.key.to_string(),
                offset: entry.key_at,
                suggestion: closest(&entry.key, schema),
            }),
        }
    }

    fn take_entry(&mut self, key: &str) -> Option<&Entry<'a>> {
        let prefixes = &self.prefixes;
        let is_it = |name: &str| {
            let mut rest = Some(name);
            for prefix in prefixes {
                rest = rest.and_then(|rest| rest.strip_prefix(prefix));
            }
            rest == Some(key)
        };
        let mut last = None;
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if is_it(&entry.key) {
                entry.taken = true;
                last = Some(index);
            }
        }
        last.map(|index| &self.entries[index])
    }
}

/// `word` means `word=on`, `noword` means `word=off`.
fn bare_word(word: &[u8], at: usize) -> Entry<'_> {
    let (key, value): (_, &[u8]) = match word.strip_prefix(b"no") {
        Some(key) => (key, b"off"),
        None => (word, b"on"),
    };
    Entry { key: String::from_utf8_lossy(key), value: Cow::Borrowed(value), key_at: at, value_at: at, taken: false }
}

/// The value that starts at `start`, and where the next option starts.
fn unescape(text: &[u8], start: usize) -> (Cow<'_, [u8]>, usize) {
    let mut value: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut from = start;
    let mut at = start;
    loop {
        match text.get(at) {
            Some(b',') if text.get(at + 1) == Some(&b',') => {
                value.to_mut().extend_from_slice(&text[from..=at]);
                at += 2;
                from = at;
            }
            Some(b',') | None => break,
            Some(_) => at += 1,
        }
    }
    if value.is_empty() {
        (Cow::Borrowed(&text[from..at]), at + 1)
    } else {
        value.to_mut().extend_from_slice(&text[from..at]);
        (value, at + 1)
    }
}

fn head_error(expected: String, found: &[u8]) -> ReadError {
    ReadError::Head { expected, found: String::from_utf8_lossy(found).into_owned() }
}

/// The key of `schema` that is nearest to `key`, if one is near.
fn closest(key: &str, schema: &'static Schema) -> Option<&'static str> {
    let of_variants = match schema.head {
        Head::Variants { variants, .. } => variants,
        _ => &[],
    };
    let fields = schema.fields.iter().chain(of_variants.iter().flat_map(|variant| variant.fields));
    fields
        .map(|field| (distance(key.as_bytes(), field.key.name.as_bytes()), field.key.name))
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
                utf8(text)?.parse().map_err(|_| {
                    ValueError::expected(concat!("a whole number of type ", stringify!($ty)))
                })
            }
        }
    )*};
}
integers!(u8 u16 u32 u64 i8 i16 i32 i64);

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

impl<T: OptRead> OptRead for Box<T> {
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        T::read_value(text).map(Self::new)
    }
}

impl<T: ToOwned + ?Sized> OptRead for Cow<'_, T>
where
    T::Owned: OptRead,
{
    fn read_value(text: &[u8]) -> Result<Self, ValueError> {
        T::Owned::read_value(text).map(Self::Owned)
    }
}
