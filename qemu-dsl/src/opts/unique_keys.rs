//! Whether a key stands in a type twice. The derive sees one type; what it flattens, only the compiler knows.

use super::fields::{Fields, name};
use super::schema::{FieldKind, Head, Listed, Schema};

/// A key behind the prefixes of its groups.
#[derive(Clone, Copy)]
struct Path {
    parts: [&'static str; Path::MAX],
    len: usize,
}

impl Path {
    const MAX: usize = 6;

    const fn and(mut self, part: &'static str) -> Self {
        // Deeper nesting than can be written is an error of its own.
        if self.len < Self::MAX {
            self.parts[self.len] = part;
            self.len += 1;
        }
        self
    }

    const fn byte(&self, mut at: usize) -> Option<u8> {
        let mut part = 0;
        while part < self.len {
            let bytes = self.parts[part].as_bytes();
            if at < bytes.len() {
                return Some(bytes[at]);
            }
            at -= bytes.len();
            part += 1;
        }
        None
    }

    const fn is(&self, other: &Self) -> bool {
        let mut at = 0;
        loop {
            match (self.byte(at), other.byte(at)) {
                (None, None) => return true,
                (Some(a), Some(b)) if a == b => at += 1,
                _ => return false,
            }
        }
    }
}

const EMPTY: Path = Path { parts: [""; Path::MAX], len: 0 };

impl Schema {
    /// Ends the compilation where a key stands in two places.
    #[doc(hidden)]
    #[must_use]
    pub const fn checked(self) -> Self {
        if let Listed::Derived(fields) = &self.fields {
            check(fields, None);
        }
        if let Head::Variants { tag, variants } = self.head {
            let mut number = 0;
            while number < variants.len() {
                if let Listed::Derived(fields) = &variants[number].fields {
                    check(fields, tag);
                }
                number += 1;
            }
        }
        self
    }
}

const fn check(fields: &Fields, tag: Option<&'static str>) {
    let mut first = 0;
    while first < fields.keys.len() {
        if let Some(tag) = tag
            && has(fields, first, &EMPTY, &EMPTY.and(tag))
        {
            twice();
        }
        let mut second = first + 1;
        while second < fields.keys.len() {
            meet(fields, first, &EMPTY, fields, second);
            second += 1;
        }
        first += 1;
    }
}

const fn twice() -> ! {
    panic!(
        "a key stands in this type twice, and QEMU would keep only the last: `rename` one, or give the flattened group a `prefix`"
    )
}

/// Every key of one field must not be one of the other's.
const fn meet(of: &Fields, number: usize, behind: &Path, other: &Fields, second: usize) {
    let key = name(of.keys[number]);
    match of.kinds[number].kind {
        FieldKind::Value(_) => {
            if has(other, second, &EMPTY, &behind.and(key)) {
                twice();
            }
        }
        FieldKind::Flatten(group) => meet_group(group, &behind.and(key), other, second),
        // Their keys have numbers in them.
        FieldKind::List(_) | FieldKind::Groups(_) => {}
    }
}

const fn meet_group(group: &Schema, behind: &Path, other: &Fields, second: usize) {
    if let Listed::Derived(fields) = &group.fields {
        meet_all(fields, behind, other, second);
    }
    if let Listed::ByHand(fields) = &group.fields {
        let mut number = 0;
        while number < fields.len() {
            if has(other, second, &EMPTY, &behind.and(fields[number].key.name)) {
                twice();
            }
            number += 1;
        }
    }
    if let Head::Variants { tag, variants } = group.head {
        if let Some(tag) = tag
            && has(other, second, &EMPTY, &behind.and(tag))
        {
            twice();
        }
        let mut number = 0;
        while number < variants.len() {
            if let Listed::Derived(fields) = &variants[number].fields {
                meet_all(fields, behind, other, second);
            }
            number += 1;
        }
    }
}

const fn meet_all(fields: &Fields, behind: &Path, other: &Fields, second: usize) {
    let mut number = 0;
    while number < fields.keys.len() {
        meet(fields, number, behind, other, second);
        number += 1;
    }
}

/// Whether a field can write this key.
const fn has(of: &Fields, number: usize, behind: &Path, key: &Path) -> bool {
    let path = behind.and(name(of.keys[number]));
    match of.kinds[number].kind {
        FieldKind::Value(_) => path.is(key),
        FieldKind::Flatten(group) => group_has(group, &path, key),
        FieldKind::List(_) | FieldKind::Groups(_) => false,
    }
}

const fn group_has(group: &Schema, behind: &Path, key: &Path) -> bool {
    if listed_has(&group.fields, behind, key) {
        return true;
    }
    if let Head::Variants { tag, variants } = group.head {
        if let Some(tag) = tag
            && behind.and(tag).is(key)
        {
            return true;
        }
        let mut number = 0;
        while number < variants.len() {
            if listed_has(&variants[number].fields, behind, key) {
                return true;
            }
            number += 1;
        }
    }
    false
}

const fn listed_has(listed: &Listed, behind: &Path, key: &Path) -> bool {
    let mut number = 0;
    while number < listed.len() {
        let is_there = match listed {
            Listed::Derived(fields) => has(fields, number, behind, key),
            Listed::ByHand(fields) => behind.and(fields[number].key.name).is(key),
        };
        if is_there {
            return true;
        }
        number += 1;
    }
    false
}
