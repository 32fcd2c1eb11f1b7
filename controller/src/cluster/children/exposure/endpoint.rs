//! The ConfigMap that tells the hosted cluster where its own API is. Where the controller finds that
//! API is in `hosted/endpoint.rs`.

use std::collections::BTreeMap;

use crds::labels::Component;
use crds::names;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::apply::desired::Desired;
use crate::cluster::children::common::{map, metadata};
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

/// A stack of one manifest, `kube-system/control-plane-endpoint` inside the hosted cluster.
pub fn config_map(cluster: &ValidCluster) -> Option<Desired> {
    let host = cluster.host()?;
    let port = cluster.ports.as_ref()?.api.to_string();
    let inner = ConfigMap {
        metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            name: Some("control-plane-endpoint".to_owned()),
            namespace: Some("kube-system".to_owned()),
            ..Default::default()
        },
        data: Some(map([("apiServerHost", &host), ("apiServerPort", &port)])),
        ..ConfigMap::default()
    };
    let manifest = serde_saphyr::to_string(&inner).ok()?;
    Some(Desired::declared(
        Kind::ConfigMap,
        ConfigMap {
            metadata: metadata(
                cluster,
                names::endpoint_config(&cluster.name),
                Component::ControlPlane,
            ),
            data: Some(BTreeMap::from([("endpoint.yaml".to_owned(), manifest)])),
            ..ConfigMap::default()
        },
    ))
}
