//! Objects as trees, without `metadata.managedFields`: half of an object's bytes, and nothing that
//! a decision depends on.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How deep an object may be nested. What is deeper than 127 levels cannot be read by those who use the
/// same library, and in a list each object lies deeper: one that cannot be read takes the list of all
/// with it.
pub(super) const DEEPEST: usize = 100;

/// Whether it is nested deeper than that.
pub(super) fn is_deep(json: &str) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Reads an object; what is no JSON object is an error.
pub(super) fn read(raw: &RawValue) -> serde_json::Result<Value> {
    serde_json::from_str::<Object>(raw.get()).map(|object| Value::Object(object.0))
}

struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Top).map(Self)
    }
}

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = if key == "metadata" {
                Value::Object(access.next_value::<Metadata>()?.0)
            } else {
                access.next_value()?
            };
            map.insert(key, value);
        }
        Ok(map)
    }
}

struct Metadata(Map<String, Value>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Inner).map(Self)
    }
}

struct Inner;

impl<'de> Visitor<'de> for Inner {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the metadata of an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key == "managedFields" {
                access.next_value::<IgnoredAny>()?;
            } else {
                map.insert(key, access.next_value()?);
            }
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> serde_json::Result<Value> {
        super::read(&RawValue::from_string(text.to_owned())?)
    }

    #[test]
    fn an_object_is_read_without_its_managed_fields_and_with_all_else() {
        let text = r#"{"kind":"Cluster","metadata":{"managedFields":[{"a":{}}],"name":"a"},
            "spec":{"metadata":{"managedFields":1}}}"#;
        assert_eq!(
            read(text).unwrap(),
            json!({
                "kind": "Cluster",
                "metadata": {"name": "a"},
                "spec": {"metadata": {"managedFields": 1}},
            })
        );
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for text in ["1", "[]", "null", r#"{"metadata":1}"#, r#""text""#] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_overflow() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(read(&format!(r#"{{"spec":{deep}}}"#)).is_err());
    }

    #[test]
    fn depth_is_that_of_brackets_outside_of_texts() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_deep(&nested(DEEPEST)));
        assert!(is_deep(&nested(DEEPEST + 1)));
        let text = format!("{:?}", "[\"".repeat(2 * DEEPEST));
        assert!(!is_deep(&text), "{text}");
        let flat = format!("[{}]", vec![nested(DEEPEST - 1); 3].join(","));
        assert!(!is_deep(&flat));
    }
}
