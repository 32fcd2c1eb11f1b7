//! Objects as trees, without `metadata.managedFields`: half of an object's bytes, and nothing that
//! a decision depends on.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

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
}
