//! JSON that applications have kept for them: how much of it, and what it costs in memory.

use crate::error::Error;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io;

/// Most JSON of one member that is kept, in bytes as written without spaces.
pub(crate) const MEMBER_MAX_BYTES: usize = 8 * 1024;

/// What a map with members takes beside them, in bytes: one node of a tree with room for eleven.
const MAP_BYTES: usize = 640;
/// What any value takes where it stands, in bytes.
const VALUE_BYTES: usize = size_of::<Value>();

/// Counts what is written to it.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long `value` is as JSON, in bytes.
pub(crate) fn json_bytes(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

/// Refuses a member that is too large to be kept.
///
/// # Errors
/// If it is; the message names it as `name`.
pub(crate) fn check_member(name: &str, value: &impl Serialize) -> Result<(), Error> {
    if json_bytes(value) > MEMBER_MAX_BYTES {
        return Err(Error::field(name, "is larger than 8 KiB of JSON"));
    }
    Ok(())
}

/// About what a map takes in memory, in bytes.
pub(crate) fn map_bytes(map: &Map<String, Value>) -> usize {
    if map.is_empty() {
        return 0;
    }
    let members = map.iter().map(|(name, value)| {
        // Text beyond the first node's room is in further nodes, each at least half full.
        2 * (size_of::<String>() + VALUE_BYTES) + name.len() + value_bytes(value)
    });
    MAP_BYTES + members.sum::<usize>()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Object(map) => map_bytes(map),
        Value::Array(items) => items
            .iter()
            .map(|item| VALUE_BYTES + value_bytes(item))
            .sum(),
        Value::String(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_member_is_measured_as_it_is_written() {
        let of = |length: usize| json!({"a": "x".repeat(length)});
        assert_eq!(json_bytes(&of(3)), r#"{"a":"xxx"}"#.len());
        assert!(check_member("settings", &of(MEMBER_MAX_BYTES - 8)).is_ok());
        let refused = check_member("settings", &of(MEMBER_MAX_BYTES - 7)).unwrap_err();
        assert_eq!(refused.message(), "settings: is larger than 8 KiB of JSON");
        // A quote takes two bytes, a control character six.
        assert_eq!(json_bytes(&"\"\u{1}"), 2 + 2 + 6);
    }

    #[test]
    fn many_small_objects_weigh_more_than_their_text() {
        let item = json!({"a": 1});
        let Value::Object(nested) = json!({"a": vec![item; 100]}) else {
            panic!("an object")
        };
        assert!(map_bytes(&nested) > 100 * MAP_BYTES);
        assert_eq!(map_bytes(&Map::new()), 0);
    }
}
