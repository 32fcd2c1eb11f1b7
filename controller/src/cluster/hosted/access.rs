//! How the controller itself gets into a hosted cluster.

use crds::v1beta2::{CertificateType, StatusPorts};
use jiff::{SignedDuration, Timestamp};
use pki::{PemPair, leaf};

use crate::apply::{ApplyError, Problem, SigningKeys, administrator};
use crate::cluster::Context;
use crate::cluster::dereference::{Observed, addresses};
use crate::hosted::Endpoint;
use crate::kubernetes::store::ObjectKey;

/// Where it reaches the hosted API, and the Secret with the CA of both sides, once all of
/// it is known.
pub fn endpoint(observed: &Observed, ports: Option<StatusPorts>) -> Option<(Endpoint, String)> {
    let ca = observed.certificate_secrets.get(&CertificateType::Ca)?;
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
