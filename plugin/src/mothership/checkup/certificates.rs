//! Certificates: which have ended, and which soon will. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::names;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use serde_json::Value;

use super::checks::CheckFinding;
use crate::mothership::fetch;

const CHECK: &str = "Certificates";
/// How long before its end a certificate is spoken of.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    whose: String,
    remedy: String,
    end: Timestamp,
}

/// The certificate in a Secret, if its controller has written when that ends.
pub fn of_secret(secret: &PartialObjectMeta<DynamicObject>) -> Option<Certificate> {
    let end = secret.annotations().get(names::NOT_AFTER)?.parse().ok()?;
    let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
    let authority = ["ca", "etcd", "proxy"]
        .iter()
        .any(|purpose| name.ends_with(&format!("-{purpose}")));
    let remedy = if let Some(cluster) = name.strip_suffix("-kubeconfig") {
        format!("kubectl k0smotron rotate kubeconfig {cluster} -n {namespace}")
    } else if authority {
        "a CA cannot be replaced: create another cluster in time".to_owned()
    } else {
        format!("have it recreated: kubectl delete secret {name} -n {namespace}")
    };
    Some(Certificate {
        whose: format!("Secret {namespace}/{name}"),
        remedy,
        end,
    })
}

/// The authority by which the API server knows the webhook.
pub fn of_configuration(kind: &str, configuration: &DynamicObject) -> Option<Certificate> {
    let webhooks = configuration.data.get("webhooks").and_then(Value::as_array);
    let ends = webhooks.into_iter().flatten().filter_map(|webhook| {
        let bundle = webhook.pointer("/clientConfig/caBundle")?.as_str()?;
        fetch::end(&STANDARD.decode(bundle).ok()?)
    });
    Some(Certificate {
        whose: format!("caBundle of {kind}"),
        remedy: "the webhook's pods renew it: are they running?".to_owned(),
        end: ends.min()?,
    })
}

/// A finding for each that has ended or soon will, else one for all.
pub fn judge(certificates: &[Certificate], now: Timestamp) -> Vec<CheckFinding> {
    let days = |end: Timestamp| end.duration_since(now).as_hours() / 24;
    let odd: Vec<CheckFinding> = certificates
        .iter()
        .filter(|found| found.end < now + SOON)
        .map(|found| {
            let Certificate { whose, remedy, end } = found;
            if *end < now {
                CheckFinding::fail(CHECK, format!("{whose} expired at {end}"), remedy)
            } else {
                let text = format!("{whose} expires in {} days, at {end}", days(*end));
                CheckFinding::warn(CHECK, text, remedy)
            }
        })
        .collect();
    if !odd.is_empty() {
        return odd;
    }
    let first = certificates.iter().map(|found| days(found.end)).min();
    let found = first.map_or_else(
        || "there are none yet".to_owned(),
        |days| {
            format!(
                "all {} are valid for at least {days} days",
                certificates.len()
            )
        },
    );
    vec![CheckFinding::ok(CHECK, found)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(name: &str, end: &str) -> Certificate {
        let secret = json!({"metadata": {"name": name, "namespace": "team-a",
            "annotations": {names::NOT_AFTER: end}}});
        of_secret(&serde_json::from_value(secret).unwrap()).unwrap()
    }

    fn judged(certificates: &[Certificate]) -> Vec<String> {
        judge(certificates, "2026-11-22T10:00:00Z".parse().unwrap())
            .into_iter()
            .map(|found| format!("{:?}: {} | {}", found.level, found.found, found.remedy))
            .collect()
    }

    #[test]
    fn what_ends_soon_or_has_ended_is_told_with_what_to_do() {
        let fine = secret("demo-etcd", "2036-11-22T10:00:00Z");
        assert_eq!(judged(&[]), ["Ok: there are none yet | "]);
        assert_eq!(
            judged(std::slice::from_ref(&fine)),
            ["Ok: all 1 are valid for at least 3653 days | "]
        );
        let odd = judged(&[
            fine,
            secret("demo-kubeconfig", "2026-11-21T10:00:00Z"),
            secret("demo-etcd-server", "2026-12-02T10:00:00Z"),
            secret("demo-ca", "2026-12-21T10:00:00Z"),
        ]);
        let expected = [
            "Fail: Secret team-a/demo-kubeconfig expired at 2026-11-21T10:00:00Z | \
             kubectl k0smotron rotate kubeconfig demo -n team-a",
            "Warn: Secret team-a/demo-etcd-server expires in 10 days, at 2026-12-02T10:00:00Z | \
             have it recreated: kubectl delete secret demo-etcd-server -n team-a",
            "Warn: Secret team-a/demo-ca expires in 29 days, at 2026-12-21T10:00:00Z | \
             a CA cannot be replaced: create another cluster in time",
        ];
        assert_eq!(odd, expected);
    }

    #[test]
    fn a_secret_without_the_word_of_its_controller_says_nothing() {
        let secret = json!({"metadata": {"name": "mine", "namespace": "team-a"}});
        assert_eq!(of_secret(&serde_json::from_value(secret).unwrap()), None);
    }
}
