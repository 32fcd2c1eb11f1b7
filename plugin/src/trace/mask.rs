//! Bodies as they may be shown. Pure.

use serde_json::{Value, json};

use crate::redact::{MARK, Redactor};

/// A body as it may be shown. One of Secrets that is no JSON is not shown at all.
pub fn body(redactor: &Redactor, path: &str, bytes: &[u8]) -> String {
    let of_secrets = path.split('/').any(|part| part == "secrets");
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) if of_secrets => redactor.object(named(value)).to_string(),
        Ok(value) => redactor.object(value).to_string(),
        Err(_) if of_secrets => MARK.to_owned(),
        Err(_) => redactor.text(&String::from_utf8_lossy(bytes)),
    }
}

/// With what only the path tells: that this is a Secret, or a part of one.
fn named(mut value: Value) -> Value {
    if let Value::Array(patch) = &mut value {
        // A JSON patch says what it writes, and not where in the object that belongs.
        for change in patch {
            if let Some(written) = change.get_mut("value") {
                *written = json!(MARK);
            }
        }
    } else if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(name);
    } else {
        name(&mut value);
    }
    value
}

fn name(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry("kind").or_insert_with(|| json!("Secret"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, value: &Value) -> Value {
        let redactor = Redactor::new().unwrap();
        serde_json::from_str(&body(&redactor, path, value.to_string().as_bytes())).unwrap()
    }

    const SECRETS: &str = "/api/v1/namespaces/a/secrets";

    #[test]
    fn what_secrets_hold_is_masked_however_it_is_sent() {
        let part = json!({"metadata": {"name": "s"}, "data": {"value": "c2VjcmV0"},
            "stringData": {"a": "b"}, "type": "Opaque"});
        let masked = json!({"kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque",
            "bytes": {"value": 6, "a": 1}});
        assert_eq!(shown(SECRETS, &part), masked);
        let list = |item: &Value| json!({"kind": "SecretList", "items": [item]});
        assert_eq!(shown(SECRETS, &list(&part)), list(&masked));
        let patch = json!([{"op": "replace", "path": "/data/value", "value": "c2VjcmV0"}]);
        let found = shown("/api/v1/namespaces/a/secrets/s", &patch);
        assert_eq!(
            found,
            json!([{"op": "replace", "path": "/data/value", "value": MARK}])
        );
        let redactor = Redactor::new().unwrap();
        assert_eq!(body(&redactor, SECRETS, b"data: {value: c2VjcmV0}"), MARK);
    }

    #[test]
    fn what_others_hold_is_shown_but_for_what_lets_somebody_in() {
        let map = json!({"kind": "ConfigMap", "data": {"a": "b"}});
        assert_eq!(shown("/api/v1/namespaces/a/configmaps/c", &map), map);
        let request = json!({"kind": "TokenRequest", "spec": {"audiences": ["x"]},
            "status": {"token": "eyJ", "expirationTimestamp": "2026"}});
        let found = shown("/api/v1/namespaces/a/serviceaccounts/s/token", &request);
        assert_eq!(found["status"]["token"], MARK);
        assert_eq!(found["status"]["expirationTimestamp"], "2026");
        assert_eq!(found["spec"], request["spec"]);
    }

    #[test]
    fn a_log_is_shown_without_tokens() {
        let redactor = Redactor::new().unwrap();
        let log = b"see https://x.example.org/a and use abcdef.0123456789abcdef";
        assert_eq!(
            body(&redactor, "/api/v1/namespaces/a/pods/p/log", log),
            "see https://x.example.org/a and use abcdef.[redacted]"
        );
    }
}
