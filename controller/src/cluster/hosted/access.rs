//! How the controller itself gets into a hosted cluster.

use crds::v1beta2::{CertificateType, Cluster};
use jiff::{SignedDuration, Timestamp};
use pki::{PemPair, leaf};

use crate::apply::{ApplyError, Problem, SigningKeys, administrator};
use crate::cluster::Context;
use crate::cluster::dereference::{Observed, addresses};
use crate::cluster::validate::ValidCluster;
use crate::hosted::Endpoint;
use crate::kubernetes::store::ObjectKey;

/// Where it reaches the hosted API, and the Secret with the CA of both sides, once all of
/// it is known. Where the spec is refused, the Service has the ports that are recorded.
pub fn endpoint(
    cluster: &Cluster,
    observed: &Observed,
    valid: Option<&ValidCluster>,
) -> Option<(Endpoint, String)> {
    let ca = observed.certificate_secrets.get(&CertificateType::Ca)?;
    let recorded = || cluster.recorded_ports().both();
    let ports = valid.map_or_else(recorded, |valid| valid.served_ports);
    let port = u16::try_from(ports?.api).ok()?;
    let hosts = addresses(observed.service.as_ref());
    let endpoint = Endpoint::new(hosts.first()?, port, ca.certificate.clone()?);
    Some((endpoint, ca.secret.clone()))
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
