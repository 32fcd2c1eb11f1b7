//! Takes everything secret out of what is shown. Pure.

use serde_json::{Map, Value};

/// What stands in the place of a secret.
pub const MASKED: &str = "<masked>";

/// Keys whose texts are secrets wherever they stand.
const SECRET_KEYS: [&str; 8] = [
    "token",
    "password",
    "id-token",
    "refresh-token",
    "access-token",
    "client-key-data",
    "clientKeyData",
    "identityToken",
];
/// The maps of a Secret that hold what is secret.
const SECRET_MAPS: [&str; 2] = ["data", "stringData"];
/// Annotation that kubectl keeps a copy of the whole object in.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A body as it may be shown. One of Secrets that is no JSON is not shown at all.
pub fn body(path: &str, bytes: &[u8]) -> String {
    let of_secrets = path.split('/').any(|part| part == "secrets");
    match serde_json::from_slice::<Value>(bytes) {
        Ok(mut value) => {
            mask(&mut value, of_secrets);
            value.to_string()
        }
        Err(_) if of_secrets => MASKED.to_owned(),
        Err(_) => text(&String::from_utf8_lossy(bytes)),
    }
}

/// Masks what is below `value`, which is or is not a Secret or a list of them.
fn mask(value: &mut Value, secret: bool) {
    match value {
        Value::Object(fields) => object(fields, secret),
        Value::Array(items) => {
            for item in items {
                mask(item, secret);
            }
        }
        Value::String(found) => *found = text(found),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn object(fields: &mut Map<String, Value>, secret: bool) {
    let kind = fields.get("kind").and_then(Value::as_str);
    let secret = secret || matches!(kind, Some("Secret" | "SecretList"));
    // A JSON patch says what it writes, and not where in the object that belongs.
    let patch = fields.contains_key("op") && fields.contains_key("path");
    for (key, value) in fields {
        let hidden = SECRET_KEYS.contains(&key.as_str()) && value.is_string();
        if hidden || (secret && (key == LAST_APPLIED || (patch && key == "value"))) {
            *value = Value::from(MASKED);
        } else if secret && SECRET_MAPS.contains(&key.as_str()) {
            blank(value);
        } else {
            mask(value, secret);
        }
    }
}

/// Every value of a map, and anything that is none.
fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for value in fields.values_mut() {
                *value = Value::from(MASKED);
            }
        }
        other => *other = Value::from(MASKED),
    }
}

/// A text without private keys, and without the passwords of URLs.
fn text(found: &str) -> String {
    if found.contains("PRIVATE KEY-----") {
        return MASKED.to_owned();
    }
    let mut shown = String::with_capacity(found.len());
    let mut rest = found;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/\"'".contains(c));
        let authority = end.and_then(|end| after.get(..end)).unwrap_or(after);
        rest = match authority.rfind('@') {
            Some(at) => {
                shown.push_str(MASKED);
                after.get(at..).unwrap_or_default()
            }
            None => after,
        };
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(path: &str, value: &Value) -> Value {
        serde_json::from_str(&body(path, value.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn what_secrets_hold_is_masked_wherever_they_stand() {
        let secret = json!({"metadata": {"name": "s", "annotations": {LAST_APPLIED: "{..}"}},
            "data": {"value": "c2VjcmV0"}, "stringData": {"a": "b"}, "type": "Opaque"});
        let masked = json!({"metadata": {"name": "s", "annotations": {LAST_APPLIED: MASKED}},
            "data": {"value": MASKED}, "stringData": {"a": MASKED}, "type": "Opaque"});
        let path = "/api/v1/namespaces/a/secrets";
        assert_eq!(shown(path, &secret), masked);
        let list = |item: &Value| json!({"kind": "SecretList", "items": [item]});
        assert_eq!(shown(path, &list(&secret)), list(&masked));
        assert_eq!(shown("/other", &list(&secret)), list(&masked));
        let patch = json!([{"op": "replace", "path": "/data/value", "value": "c2VjcmV0"}]);
        let found = shown("/api/v1/namespaces/a/secrets/s", &patch);
        assert_eq!(found[0]["value"], MASKED);
        assert_eq!(found[0]["path"], "/data/value");
        assert_eq!(body(path, b"data: {value: c2VjcmV0}"), MASKED);
    }

    #[test]
    fn what_others_hold_is_shown_but_for_keys_and_passwords() {
        let map = json!({"kind": "ConfigMap", "data": {"a": "b"}});
        assert_eq!(shown("/api/v1/namespaces/a/configmaps/c", &map), map);
        let request = json!({"kind": "TokenRequest", "spec": {"audiences": ["x"]},
            "status": {"token": "eyJ", "expirationTimestamp": "2026"}});
        let found = shown("/api/v1/namespaces/a/serviceaccounts/s/token", &request);
        assert_eq!(found["status"]["token"], MASKED);
        assert_eq!(found["status"]["expirationTimestamp"], "2026");
        assert_eq!(found["spec"], request["spec"]);
        let cluster = json!({"spec": {"storage": {"kine":
            {"dataSourceURL": "mysql://me:p@ss@tcp(db:3306)/k0s"}}}});
        assert_eq!(
            shown("/x", &cluster)["spec"]["storage"]["kine"]["dataSourceURL"],
            "mysql://<masked>@tcp(db:3306)/k0s"
        );
        let key = json!({"a": "-----BEGIN EC PRIVATE KEY-----\nMHc"});
        assert_eq!(shown("/x", &key)["a"], MASKED);
    }

    #[test]
    fn texts_that_are_no_json_are_shown_as_they_are() {
        assert_eq!(
            body(
                "/api/v1/namespaces/a/pods/p/log",
                b"see https://x.example.org/a@b and go"
            ),
            "see https://x.example.org/a@b and go"
        );
        assert_eq!(text("http://a:b@h http://c"), "http://<masked>@h http://c");
    }
}
