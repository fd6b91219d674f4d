//! QEMU's answer to `query-qmp-schema`, and where a dotted key leads in it.

use std::collections::HashMap;

use serde_json::Value;

/// The schema. (QEMU documentation, "How to use the QAPI code generator", "Client JSON Protocol introspection")
#[derive(Debug)]
pub struct Qapi(HashMap<String, Value>);

impl Qapi {
    /// From QEMU's answer.
    ///
    /// # Panics
    ///
    /// When it is no schema.
    pub fn new(answer: &Value) -> Self {
        let entities = answer.as_array().expect("a list of entities");
        Self(
            entities
                .iter()
                .map(|entity| (entity["name"].as_str().unwrap_or_default().to_owned(), entity.clone()))
                .collect(),
        )
    }

    /// The type of a command's argument `key`, where the tags on the way have the values that `tags` says: a word of QAPI,
    /// or the words of an enum separated by `|`. [`None`] when there is no such argument.
    pub fn argument(&self, command: &str, key: &str, tags: &[(&str, &str)]) -> Option<String> {
        let start = self.0.get(command)?["arg-type"].as_str()?;
        self.member(start, key, "", tags)
    }

    /// Whether a command's argument has a variant: whether the tag `type` can be `stream`.
    pub fn has_variant(&self, command: &str, variant: &str) -> bool {
        let found = || {
            let start = self.0.get(command)?["arg-type"].as_str()?;
            let variants = self.0.get(start)?["variants"].as_array()?;
            Some(variants.iter().any(|case| case["case"] == variant && case["type"] != "0"))
        };
        found().unwrap_or(false)
    }

    fn member(&self, object: &str, key: &str, path: &str, tags: &[(&str, &str)]) -> Option<String> {
        let object = self.0.get(object)?;
        if object["meta-type"] == "alternate" {
            // A reference by name, or the thing itself: only the latter has members.
            let mut members = object["members"].as_array()?.iter();
            return members.find_map(|member| self.member(member["type"].as_str()?, key, path, tags));
        }
        let (head, rest) = key.split_once('.').map_or((key, None), |(head, rest)| (head, Some(rest)));
        if let Some(member) = object["members"].as_array()?.iter().find(|member| member["name"] == head) {
            let kind = member["type"].as_str()?;
            return match rest {
                None => Some(self.word(kind)),
                Some(rest) => self.member(kind, rest, &format!("{path}{head}."), tags),
            };
        }
        let tag = format!("{path}{}", object["tag"].as_str()?);
        let (_, value) = tags.iter().find(|(key, _)| *key == tag)?;
        let case = object["variants"].as_array()?.iter().find(|case| case["case"] == *value)?;
        self.member(case["type"].as_str()?, key, path, tags)
    }

    /// The name of a type, or what an enum or alternate can be.
    fn word(&self, name: &str) -> String {
        let Some(entity) = self.0.get(name) else { return name.to_owned() };
        let list = |key: &str, of: &str| -> Vec<String> {
            let values = entity[key].as_array().map(Vec::as_slice).unwrap_or_default();
            values.iter().map(|value| value[of].as_str().or(value.as_str()).unwrap_or_default().to_owned()).collect()
        };
        match entity["meta-type"].as_str() {
            Some("enum") => list("values", "name").join("|"),
            Some("object") => "object".to_owned(),
            Some("alternate") => {
                list("members", "type").iter().map(|kind| self.word(kind)).collect::<Vec<_>>().join("|")
            }
            _ => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn follows_members_and_variants() {
        let qapi = Qapi::new(&json!([
            { "name": "netdev_add", "meta-type": "command", "arg-type": "1" },
            { "name": "1", "meta-type": "object", "tag": "type", "members": [{ "name": "id", "type": "str" }],
              "variants": [{ "case": "stream", "type": "2" }, { "case": "none", "type": "0" }] },
            { "name": "2", "meta-type": "object", "members": [{ "name": "addr", "type": "3" }] },
            { "name": "3", "meta-type": "object", "tag": "type", "members": [{ "name": "type", "type": "4" }],
              "variants": [{ "case": "unix", "type": "5" }] },
            { "name": "4", "meta-type": "enum", "values": ["inet", "unix"] },
            { "name": "5", "meta-type": "object", "members": [{ "name": "path", "type": "str" }] },
            { "name": "str", "meta-type": "builtin" },
        ]));
        let tags = [("type", "stream"), ("addr.type", "unix")];
        assert_eq!(qapi.argument("netdev_add", "id", &tags).as_deref(), Some("str"));
        assert_eq!(qapi.argument("netdev_add", "addr.type", &tags).as_deref(), Some("inet|unix"));
        assert_eq!(qapi.argument("netdev_add", "addr.path", &tags).as_deref(), Some("str"));
        assert_eq!(qapi.argument("netdev_add", "addr.path", &tags[..1]), None);
        assert_eq!(qapi.argument("netdev_add", "adder", &tags), None);
        assert!(qapi.has_variant("netdev_add", "stream") && !qapi.has_variant("netdev_add", "none"));
    }
}
