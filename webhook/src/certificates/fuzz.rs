//! The webhook's own Secret, as somebody else may have written it.

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::state::Stored;

#[test]
fn the_secret() {
    let pem = |name: &str| {
        let text = fuzz::file(&format!("pki/tests/fixtures/{name}"));
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text)
    };
    let (certificate, key) = (pem("ec-sec1.crt"), pem("ec-sec1.key"));
    let secret = serde_json::json!({
        "metadata": {"name": "s", "annotations": {}},
        "data": {"tls.crt": certificate, "tls.key": key, "ca.crt": certificate, "ca.key": key,
            "next-ca.crt": certificate, "next-ca.key": key, "old-ca.crt": certificate},
    });
    let words = &[
        "tls.crt",
        "tls.key",
        "ca.crt",
        "ca.key",
        "AAAA",
        "LS0tLS1CRUdJTg==",
    ];
    fuzz::check!(fuzz::tree([secret], words), |tree: &Value| {
        if let Ok(secret) = serde_json::from_value::<Secret>(tree.clone()) {
            let stored = Stored::read(&secret);
            let _ = stored.facts(&["webhook.k0smotron.svc".to_owned()]);
            let _ = stored.promoted();
            let again = Secret {
                data: Some(stored.data()),
                metadata: secret.metadata,
                ..Secret::default()
            };
            assert_eq!(Stored::read(&again).data(), stored.data());
        }
    });
}
