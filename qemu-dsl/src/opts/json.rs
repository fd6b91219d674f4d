//! JSON from schema and text: what QEMU's JSON arguments and QMP's commands take.

use std::fmt::Write as _;

use super::{Context, FieldKind, FieldSchema, Head, Id, OptError, OptType, OptWriter, QemuOpts, Schema};

/// Which of QEMU's arguments the JSON is for. The same object is the argument of the QMP command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JsonForm {
    /// `-device` (QEMU 6.2 and later) and `device_add`.
    DeviceAdd,
    /// `-netdev` (QEMU 7.2 and later) and `netdev_add`.
    NetdevAdd,
    /// `-object` (QEMU 6.0 and later) and `object-add`.
    ObjectAdd,
    /// `-blockdev` and `blockdev-add`. The id is the key `node-name`.
    BlockdevAdd,
}

impl JsonForm {
    /// The key that the head is the value of.
    const fn head(self) -> &'static str {
        match self {
            Self::DeviceAdd | Self::BlockdevAdd => "driver",
            Self::NetdevAdd => "type",
            Self::ObjectAdd => "qom-type",
        }
    }

    const fn id(self) -> &'static str {
        match self {
            Self::BlockdevAdd => "node-name",
            _ => "id",
        }
    }
}

/// The options as JSON: numbers are numbers, `on` is `true`, sizes count bytes, and keys with dots are objects and lists in each other.
/// What each value is, the schema tells.
///
/// # Errors
///
/// What [`to_text`](super::to_text) refuses, a part of something else that says no name, and a text that is not UTF-8, which JSON cannot hold.
///
/// ```
/// use qemu_dsl::device::VirtioBalloon;
/// use qemu_dsl::id;
/// use qemu_dsl::opts::{self, Context, JsonForm, Transport};
/// let balloon = VirtioBalloon::new().deflate_on_oom(true);
/// let json = opts::to_json(&balloon, JsonForm::DeviceAdd, Some(id!("b0")), Context::new(Transport::Pci, None))?;
/// assert_eq!(json, r#"{"driver":"virtio-balloon-pci","id":"b0","deflate-on-oom":true}"#);
/// # Ok::<(), opts::OptError>(())
/// ```
pub fn to_json(opts: &impl QemuOpts, form: JsonForm, id: Option<Id>, context: Context) -> Result<String, OptError> {
    json_of(schema_of(opts), &text_of(opts, context)?, form, id)
}

fn schema_of<T: QemuOpts>(_: &T) -> &'static Schema {
    T::SCHEMA
}

fn text_of(opts: &impl QemuOpts, context: Context) -> Result<Vec<u8>, OptError> {
    let mut out = Vec::new();
    let mut writer = OptWriter::new(&mut out, &context, None);
    opts.write_opts(&mut writer);
    writer.finish()?;
    Ok(out)
}

/// An object whose members are in order, or the JSON of a value.
enum Node {
    Value(String),
    Object(Vec<(String, Node)>),
}

fn json_of(schema: &Schema, text: &[u8], form: JsonForm, id: Option<Id>) -> Result<String, OptError> {
    let mut root = Vec::new();
    let mut rest = text;
    if has_head(schema) {
        let end = memchr::memchr(b',', text).unwrap_or(text.len());
        insert(&mut root, form.head(), quoted(form.head(), &text[..end])?);
        rest = text.get(end + 1..).unwrap_or_default();
    } else if form != JsonForm::BlockdevAdd {
        let reason =
            "this type has no name of its own: give the type that it is a part of, such as `Netdev::from(user)`";
        return Err(OptError::Value { option: form.head().to_owned(), reason: reason.to_owned() });
    }
    if let Some(id) = id {
        insert(&mut root, form.id(), quoted(form.id(), id.as_str().as_bytes())?);
    }
    while !rest.is_empty() {
        let equals = memchr::memchr(b'=', rest).unwrap_or(rest.len());
        let key = String::from_utf8_lossy(&rest[..equals]).into_owned();
        let (value, end) = value(rest, equals + 1);
        rest = rest.get(end..).unwrap_or_default();
        let json = typed(&key, &value, type_of(schema, &key))?;
        insert(&mut root, &key, json);
    }
    let mut out = String::new();
    print(&Node::Object(root), &mut out);
    Ok(out)
}

/// Whether the text starts with a name: the schema's own, or that of a group that stands first.
fn has_head(schema: &Schema) -> bool {
    match schema.head {
        Head::Implied(_) | Head::Virtio(_) | Head::Variants { tag: None, .. } => true,
        Head::Variants { tag: Some(_), .. } => false,
        Head::None => match schema.fields().next() {
            Some(FieldSchema { kind: FieldKind::Flatten(group), .. }) => has_head(group),
            _ => false,
        },
    }
}

/// The value at `start`, with its commas undoubled, and where the next option starts.
fn value(text: &[u8], start: usize) -> (Vec<u8>, usize) {
    let mut value = Vec::new();
    let mut at = start;
    while let Some(&byte) = text.get(at) {
        if byte == b',' {
            if text.get(at + 1) != Some(&b',') {
                return (value, at + 1);
            }
            at += 1;
        }
        value.push(byte);
        at += 1;
    }
    (value, at)
}

/// The type of a key; text where the schema does not have it.
fn type_of(schema: &Schema, key: &str) -> OptType {
    find(schema, key).unwrap_or(OptType::Text)
}

fn find(schema: &Schema, key: &str) -> Option<OptType> {
    let one = |field: FieldSchema| {
        let rest = key.strip_prefix(field.key.name)?;
        let element = || rest.strip_prefix('.').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        match field.kind {
            FieldKind::Value(ty) => rest.is_empty().then_some(ty),
            FieldKind::Flatten(group) => find(group, rest),
            FieldKind::List(ty) => element().is_some_and(str::is_empty).then_some(ty),
            FieldKind::Groups(group) => find(group, element()?.strip_prefix('.')?),
        }
    };
    let of_variants = || match schema.head {
        Head::Variants { variants, .. } => variants.iter().find_map(|variant| variant.fields().find_map(one)),
        _ => None,
    };
    schema.fields().find_map(one).or_else(of_variants)
}

fn typed(key: &str, value: &[u8], ty: OptType) -> Result<String, OptError> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    Ok(match ty {
        OptType::Bool if value == b"on" => "true".to_owned(),
        OptType::Bool if value == b"off" => "false".to_owned(),
        OptType::Integer if text.parse::<i128>().is_ok() => text.to_owned(),
        OptType::Size => match super::Size::parse(text) {
            Some(size) => size.as_bytes().to_string(),
            None => quoted(key, value)?,
        },
        _ => quoted(key, value)?,
    })
}

fn quoted(key: &str, value: &[u8]) -> Result<String, OptError> {
    let Ok(text) = std::str::from_utf8(value) else {
        let reason = "it is not UTF-8, and JSON holds nothing else: use the form with `key=value`".to_owned();
        return Err(OptError::Value { option: key.to_owned(), reason });
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing into a `String` does not fail.
            c if c.is_control() && u32::from(c) < 0x10000 => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(out)
}

fn insert(into: &mut Vec<(String, Node)>, key: &str, json: String) {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) if !first.is_empty() && !rest.is_empty() => (first, Some(rest)),
        _ => (key, None),
    };
    let at = into.iter().position(|(name, _)| name == first);
    let at = at.unwrap_or_else(|| {
        into.push((first.to_owned(), Node::Object(Vec::new())));
        into.len() - 1
    });
    match (rest, &mut into[at].1) {
        (Some(rest), Node::Object(members)) => insert(members, rest, json),
        (_, node) => *node = Node::Value(json),
    }
}

fn print(node: &Node, out: &mut String) {
    let members = match node {
        Node::Value(json) => return out.push_str(json),
        Node::Object(members) => members,
    };
    let is_number = |(number, (name, _)): (usize, &(String, Node))| name.parse() == Ok(number);
    let is_list = !members.is_empty() && members.iter().enumerate().all(is_number);
    out.push(if is_list { '[' } else { '{' });
    for (number, (name, member)) in members.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        if !is_list {
            // Keys are names of the source: nothing in them is escaped.
            let _ = write!(out, "\"{name}\":");
        }
        print(member, out);
    }
    out.push(if is_list { ']' } else { '}' });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(QemuOpts)]
    #[qemu(implied = "thing")]
    struct Thing {
        on: bool,
        count: Option<i64>,
        size: super::super::Size,
        text: String,
        #[qemu(flatten, prefix = "addr.")]
        addr: Addr,
        #[qemu(list)]
        names: Vec<String>,
        #[qemu(list, flatten)]
        forwards: Vec<Forward>,
    }

    #[derive(QemuOpts)]
    #[qemu(tag = "type")]
    enum Addr {
        Unix { path: String },
    }

    #[derive(QemuOpts)]
    struct Forward {
        port: u16,
        str: String,
    }

    fn thing(text: &str) -> Thing {
        let forward = |port| Forward { port, str: "x".into() };
        Thing {
            on: true,
            count: Some(-7),
            size: super::super::Size::mib(1),
            text: text.into(),
            addr: Addr::Unix { path: "/a,b".into() },
            names: vec!["1".into(), "on".into()],
            forwards: vec![forward(1), forward(2)],
        }
    }

    #[test]
    fn values_have_their_types_and_keys_their_places() {
        let json =
            to_json(&thing("a,,b\"\\\n="), JsonForm::ObjectAdd, Some(crate::id!("t")), Context::default()).unwrap();
        assert_eq!(
            json,
            "{\"qom-type\":\"thing\",\"id\":\"t\",\"on\":true,\"count\":-7,\"size\":1048576,\"text\":\"a,,b\\\"\\\\\\u000a=\",\
             \"addr\":{\"type\":\"unix\",\"path\":\"/a,b\"},\"names\":[\"1\",\"on\"],\
             \"forwards\":[{\"port\":1,\"str\":\"x\"},{\"port\":2,\"str\":\"x\"}]}"
        );
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["text"], "a,,b\"\\\n=");
    }

    #[test]
    fn a_part_without_a_name_is_refused() {
        let user = crate::backend::UserNetdev::new();
        let error = to_json(&user, JsonForm::NetdevAdd, None, Context::default()).unwrap_err();
        assert!(matches!(error, OptError::Value { ref option, .. } if option == "type"), "{error}");
        let netdev = crate::backend::Netdev::from(user);
        assert_eq!(to_json(&netdev, JsonForm::NetdevAdd, None, Context::default()).unwrap(), r#"{"type":"user"}"#);
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(b"/\xff"));
        let rng = crate::backend::RngRandom::file(path);
        let error = to_json(&rng, JsonForm::ObjectAdd, None, Context::default()).unwrap_err();
        assert!(matches!(error, OptError::Value { ref option, .. } if option == "filename"), "{error}");
    }
}
