//! How the controller itself gets into a hosted cluster.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crds::names;
use crds::v1beta2::{CertificateType, Cluster};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use pki::{PemPair, leaf};
use zeroize::Zeroizing;

use crate::apply::{ApplyError, Problem, SigningKeys, administrator};
use crate::cluster::Context;
use crate::cluster::dereference::{Observed, addresses};
use crate::cluster::validate::ValidCluster;
use crate::hosted::Endpoint;
use crate::kubernetes::store::{Kind, ObjectKey};

/// How long the controller's own certificate for a hosted API lasts. With it one may do anything
/// there, and it is kept in memory: each costs one read of a key.
pub const OWN_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Where it reaches the hosted API, and the Secret with the CA of both sides, once all of
/// it is known. Where the spec is refused, the Service has the ports that are recorded.
pub fn endpoint(
    cluster: &Cluster,
    observed: &Observed,
    valid: Option<&ValidCluster>,
) -> Option<(Endpoint, String)> {
    let ca = observed.certificate_secrets.get(&CertificateType::Ca)?;
    let (host, port) = address(cluster, observed, valid)?;
    let endpoint = Endpoint::new(host, port, ca.certificate.clone()?);
    Some((endpoint, ca.secret.clone()))
}

fn address(
    cluster: &Cluster,
    observed: &Observed,
    valid: Option<&ValidCluster>,
) -> Option<(String, u16)> {
    let recorded = || cluster.recorded_ports().both();
    let ports = valid.map_or_else(recorded, |valid| valid.served_ports);
    let port = u16::try_from(ports?.api).ok()?;
    let host = addresses(observed.service.as_ref()).first()?.clone();
    Some((host, port))
}

/// Has the API asked with what is in the administrator's kubeconfig, where the CA says nothing or is
/// another one by now: what its pods trust is there as well. Whether it is asked.
pub async fn borrow(
    cluster: &Cluster,
    observed: &Observed,
    valid: Option<&ValidCluster>,
    context: &Context,
) -> Result<bool, Problem> {
    let uid = cluster.uid().unwrap_or_default();
    let Some((host, port)) = address(cluster, observed, valid) else {
        return Ok(false);
    };
    if context.prober.asks_at(&uid, &host, port) {
        return Ok(true);
    }
    if !observed.kubeconfig {
        return Ok(false);
    }
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let key = ObjectKey::new(Kind::Secret, &namespace, names::kubeconfig(&name));
    let secret = context.mothership.writer.get(&key).await;
    let secret = secret.map_err(|error| Problem::from_error(&key, &ApplyError::Write(error)))?;
    let ca = observed.certificate_secrets.get(&CertificateType::Ca);
    let in_use = ca.and_then(|ca| ca.public_key.as_ref());
    let Some((ca, pair)) = secret.and_then(|secret| credentials(&secret, &uid, in_use)) else {
        return Ok(false);
    };
    let endpoint = Endpoint::new(host, port, ca);
    let about = (namespace.as_str(), name.as_str());
    let prober = &context.prober;
    Ok(prober.borrow(&uid, about, endpoint, pair, OWN_LIFETIME))
}

/// The CA and the client certificate in a kubeconfig of this Cluster's, if it is of the key that its pods
/// run with and nothing else is trusted beside it.
fn credentials(
    secret: &DynamicObject,
    uid: &str,
    in_use: Option<&String>,
) -> Option<(String, PemPair)> {
    let mut owners = secret.owner_references().iter();
    owners.find(|owner| owner.uid == uid)?;
    let data = secret.data.get("data")?.get(names::KUBECONFIG_KEY)?;
    let text = Zeroizing::new(BASE64_STANDARD.decode(data.as_str()?).ok()?);
    let (ca, pair) = pki::kubeconfig::read(std::str::from_utf8(&text).ok()?)?;
    let key = pki::inspect(&ca).ok()?.spki_digest;
    let is_alone = pki::certificates(&ca).is_ok_and(|all| all.len() == 1);
    let fits =
        pki::inspect(&pair.certificate).is_ok() && matches!(pki::key_matches(&pair), Ok(true));
    (Some(&key) == in_use && is_alone && fits).then_some((ca, pair))
}

/// A certificate with which it is let in, signed by the CA in this Secret; costs one
/// request, for its key.
pub async fn certificate(
    ca_secret: &ObjectKey,
    lifetime: SignedDuration,
    keys: &SigningKeys,
    context: &Context,
) -> Result<PemPair, Problem> {
    let sign = async {
        let ca = keys.read(&context.mothership.writer, ca_secret).await?;
        let request = administrator("k0smotron-controller", lifetime);
        leaf::issue(&ca, &request, Timestamp::now()).map_err(|source| ApplyError::Pki {
            key: ca_secret.clone(),
            source,
        })
    };
    sign.await
        .map_err(|error| Problem::from_error(ca_secret, &error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures;
    use crate::cluster::validate::validate;

    /// Whoever asks at a port that the Service does not have yet calls the API unreachable.
    #[test]
    fn the_port_that_is_asked_is_one_that_the_service_has() {
        let asked = |serves: i32, is_refused: bool| {
            let cluster: Cluster = serde_json::from_value(json!({
                "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
                "spec": {"service": {"apiPort": 31443}},
                "status": {"ports": {"api": 30443, "konnectivity": 30132}},
            }))
            .unwrap();
            let ports = json!([{"name": "api", "port": serves},
                {"name": "konnectivity", "port": 30132}]);
            let service = json!({"spec": {"clusterIPs": ["10.0.0.7"], "ports": ports}});
            let mut observed = Observed {
                service: serde_json::from_value(service).unwrap(),
                ..fixtures::made()
            };
            for secret in observed.certificate_secrets.values_mut() {
                secret.certificate = Some("pem".to_owned());
            }
            let valid = validate(&cluster, &observed, SignedDuration::from_hours(1)).unwrap();
            let valid = (!is_refused).then_some(&valid);
            endpoint(&cluster, &observed, valid).map(|(endpoint, _)| endpoint.port)
        };
        assert_eq!(asked(31443, false), Some(31443));
        assert_eq!(asked(30443, false), Some(30443), "the change is refused");
        assert_eq!(asked(30443, true), Some(30443), "the spec is refused");
    }
}
