//! What JSON costs in memory: a peer that sends `[0],[0],...` has thirty bytes allocated for each that it sends.

use serde_json::Value;

use super::Event;

/// A block of memory costs the allocator this much beside its bytes, or is rounded up by as much.
const BLOCK: usize = 16;
/// A vector that grows has room for four values at first, and for twice as many as it holds at worst.
const LIST: usize = 4 * size_of::<Value>() + BLOCK;
const ITEM: usize = 2 * size_of::<Value>();
/// A map is a B-tree. Each node has room for eleven entries, inner ones for twelve children too; the twelfth entry makes one node
/// three, and then each fifth entry at most makes one more.
const OBJECT: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 2 * size_of::<usize>() + BLOCK;
const SPLIT: usize = 2 * OBJECT + 12 * size_of::<usize>();
const ENTRY: usize = OBJECT / 3;
const NODE_ENTRIES: usize = 11;
/// As deep as the parser goes.
const DEPTH: usize = 128;

/// The most that `text` can become when it is parsed, found out without building anything. What is no JSON has a weight too: that
/// of what is built before the mistake is noticed, or more.
pub(super) fn weight(text: &[u8]) -> usize {
    let (mut weight, mut is_text, mut is_escaped) = (size_of::<Value>(), false, false);
    // How many entries each open object has, the innermost last; lists have none.
    let (mut entries, mut depth) = ([None; DEPTH], 0);
    for byte in text {
        let innermost = &mut entries[depth % DEPTH];
        weight += match byte {
            _ if is_escaped => {
                is_escaped = false;
                1
            }
            b'\\' if is_text => {
                is_escaped = true;
                1
            }
            b'"' => {
                is_text = !is_text;
                BLOCK
            }
            _ if is_text => 1,
            b'[' | b'{' => {
                depth += 1;
                entries[depth % DEPTH] = (*byte == b'{').then_some(1);
                if *byte == b'{' { OBJECT } else { LIST }
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                0
            }
            b',' => innermost.as_mut().map_or(ITEM, |entries| {
                *entries += 1;
                of_entry(*entries)
            }),
            _ => 0,
        };
    }
    weight
}

/// What an object's entry adds to its nodes, the first being number one.
fn of_entry(number: usize) -> usize {
    match number {
        ..=NODE_ENTRIES => 0,
        number if number == NODE_ENTRIES + 1 => SPLIT,
        _ => ENTRY,
    }
}

/// What an event that is kept costs: its place in a queue that may be half empty, and what is behind it.
pub(super) fn of_event(event: &Event) -> usize {
    2 * size_of::<Event>() + event.name.len() + BLOCK + behind(&event.data)
}

/// What a value costs beside its own bytes, in the place where it stands.
fn behind(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len() + 2 * BLOCK,
        Value::Array(values) => LIST + values.iter().map(|value| ITEM + behind(value)).sum::<usize>(),
        Value::Object(entries) => {
            let nodes = OBJECT + (1..=entries.len()).map(of_entry).sum::<usize>();
            nodes + entries.iter().map(|(key, value)| key.len() + 2 * BLOCK + behind(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    /// The bytes of the blocks that a value has, as the standard library allocates them.
    fn allocated(value: &Value) -> usize {
        let block = |bytes: usize| if bytes == 0 { 0 } else { bytes + 8 };
        match value {
            Value::String(text) => block(text.capacity()),
            Value::Array(values) => {
                block(values.capacity() * size_of::<Value>()) + values.iter().map(allocated).sum::<usize>()
            }
            Value::Object(entries) => {
                // Five entries in each node, but for the first.
                let leaves = if entries.len() <= 11 { entries.len().min(1) } else { entries.len() / 5 };
                let leaf = 11 * (size_of::<String>() + size_of::<Value>()) + 2 * size_of::<usize>();
                let inner = leaves.saturating_sub(1).div_ceil(5) * block(leaf + 12 * size_of::<usize>());
                let own = leaves * block(leaf) + inner;
                own + entries.iter().map(|(key, value)| block(key.capacity()) + allocated(value)).sum::<usize>()
            }
            _ => 0,
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,9}|[\"\\\\,{\\[]{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 200, 20, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
                proptest::collection::vec(("\\PC{0,3}", inner), 0..40)
                    .prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_value_costs_more_than_its_text_weighs(value in value()) {
            let text = value.to_string();
            let parsed: Value = serde_json::from_str(&text).unwrap();
            prop_assert!(weight(text.as_bytes()) >= allocated(&parsed), "{} < {}", weight(text.as_bytes()), allocated(&parsed));
            let event = Event { name: String::new(), data: parsed };
            prop_assert!(of_event(&event) >= allocated(&event.data));
        }

        #[test]
        fn anything_has_a_weight(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(weight(&text) <= 32 + text.len() * 2 * OBJECT);
        }
    }

    #[test]
    fn usual_messages_are_light() {
        let event = json!({ "timestamp": { "seconds": 1, "microseconds": 2 }, "event": "STOP" });
        assert!(weight(event.to_string().as_bytes()) < 4096);
        assert!(of_event(&Event { name: "STOP".to_owned(), data: Value::Null }) < 256);
    }
}
