//! The ConfigMap that tells the hosted k0s who hosts it.

use std::collections::BTreeMap;

use crds::labels::Component;
use crds::names;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::apply::desired::Desired;
use crate::cluster::children::common::metadata;
use crate::cluster::validate::ValidCluster;
use crate::kubernetes::store::Kind;

const MANIFEST: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: k0s-telemetry
  namespace: kube-system
data:
  provider: k0smotron
";

/// A stack of one manifest, applied inside the hosted cluster.
pub fn config(cluster: &ValidCluster) -> Desired {
    Desired::declared(
        Kind::ConfigMap,
        ConfigMap {
            metadata: metadata(
                cluster,
                names::telemetry_config(&cluster.name),
                Component::Telemetry,
            ),
            data: Some(BTreeMap::from([(
                "configmap.yaml".to_owned(),
                MANIFEST.to_owned(),
            )])),
            ..ConfigMap::default()
        },
    )
}
