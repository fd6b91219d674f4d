//! Commas in values, as QEMU reads them: doubled ones are one of the value's own. (`get_opt_value`, util/qemu-option.c)

use std::borrow::Cow;

/// Where the value that starts at `start` ends: at a comma that is not doubled.
pub(crate) fn end_of_value(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(comma) = memchr::memchr(b',', &text[at..]) {
        if text.get(at + comma + 1) != Some(&b',') {
            return at + comma;
        }
        at += comma + 2;
    }
    text.len()
}

/// A value without the second one of doubled commas.
pub(crate) fn unescape(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b',', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(comma) = memchr::memchr(b',', rest) {
        out.extend_from_slice(&rest[..=comma]);
        rest = rest.get(comma + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}
