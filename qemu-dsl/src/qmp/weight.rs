//! What JSON costs in memory: a peer that sends `[0],[0],...` has thirty bytes allocated for each that it sends.

use serde_json::Value;

use super::Event;

/// A block of memory costs the allocator this much beside its bytes, or is rounded up by as much.
const BLOCK: usize = 16;
/// A vector that grows has room for four values at first, and for twice as many as it holds at worst.
const LIST: usize = 4 * size_of::<Value>() + BLOCK;
const ITEM: usize = 2 * size_of::<Value>();
/// A map is a B-tree. Each node has room for eleven entries and twelve children; full ones are split into halves of five and six.
const OBJECT: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16 * size_of::<usize>() + BLOCK;
const ENTRY: usize = OBJECT / 4;

/// The most that `text` can become when it is parsed, found out without building anything. What is no JSON has a weight too: that
/// of what is built before the mistake is noticed, or more.
pub(super) fn weight(text: &[u8]) -> usize {
    let (mut weight, mut is_text, mut is_escaped) = (size_of::<Value>(), false, false);
    // The containers that are open, the innermost last: a one is an object. The parser gives up at 128.
    let mut open = 0_u128;
    for byte in text {
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
            b'[' => {
                open <<= 1;
                LIST
            }
            b'{' => {
                open = open << 1 | 1;
                OBJECT
            }
            b']' | b'}' => {
                open >>= 1;
                0
            }
            b',' if open & 1 == 1 => ENTRY,
            b',' => ITEM,
            _ => 0,
        };
    }
    weight
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
            OBJECT + entries.iter().map(|(key, value)| ENTRY + key.len() + 2 * BLOCK + behind(value)).sum::<usize>()
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
                // Five entries in each node: fewer are only in the first.
                let nodes = entries.len().div_ceil(5);
                let leaf = 11 * (size_of::<String>() + size_of::<Value>()) + 2 * size_of::<usize>();
                let inner = nodes.saturating_sub(1).div_ceil(6) * 12 * size_of::<usize>();
                let own = nodes * block(leaf) + inner;
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
                proptest::collection::vec(("\\PC{0,3}", inner), 0..20)
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
            prop_assert!(weight(&text) <= 32 + text.len() * OBJECT);
        }
    }

    #[test]
    fn usual_messages_are_light() {
        let event = json!({ "timestamp": { "seconds": 1, "microseconds": 2 }, "event": "STOP" });
        assert!(weight(event.to_string().as_bytes()) < 4096);
        assert!(of_event(&Event { name: "STOP".to_owned(), data: Value::Null }) < 256);
    }
}
