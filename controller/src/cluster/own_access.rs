//! How the controller itself gets into a hosted cluster.

use jiff::{SignedDuration, Timestamp};

use crds::v1beta2::CertificateType;

use crate::{
    hosted::Endpoint,
    kubernetes::store::{Key, Kind},
    pki::{PemPair, leaf},
};

use super::{
    Context,
    apply::{ApplyError, Keys, administrator},
    validate::ValidCluster,
};

/// Where it reaches the hosted API, and the Secret with the authority of both sides, once all of
/// it is known.
pub fn endpoint(valid: &ValidCluster) -> Option<(Endpoint, String)> {
    let authority = valid.authority(CertificateType::Ca)?;
    let port = u16::try_from(valid.ports?.api).ok()?;
    let host = valid.service_ips.first()?;
    let endpoint = Endpoint::new(host, port, authority.certificate.clone()?);
    Some((endpoint, authority.secret.clone()))
}

/// A certificate with which it is let in; costs one request, for the authority's key.
pub async fn certificate(
    valid: &ValidCluster,
    authority: &str,
    lifetime: SignedDuration,
    keys: &Keys,
    context: &Context,
) -> Result<PemPair, ApplyError> {
    let key = Key::new(Kind::Secret, &valid.namespace, authority);
    let ca = keys.read(&context.writer, &key).await?;
    let request = administrator("k0smotron-controller", lifetime);
    leaf::issue(&ca, &request, Timestamp::now()).map_err(|source| ApplyError::Pki { key, source })
}
