//! Names of everything that is made for a Cluster. They are part of the product's interface:
//! other tools and earlier installations rely on them.

use std::fmt::Write;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::v1beta2::{CertificateType, ServiceType};

/// Finalizer of Clusters.
pub const CLUSTER_FINALIZER: &str = "k0smotron.io/finalizer";
/// Finalizer of `JoinTokenRequests`: a token is revoked before its request goes.
pub const JOIN_TOKEN_REQUEST_FINALIZER: &str = "jointokenrequests.k0smotron.io/finalizer";
/// Finalizer of Secrets with keys that are made once: a deletion can be undone with the same key.
pub const KEY_FINALIZER: &str = "k0smotron.io/protect-key";
/// Annotation of Secrets with a certificate or a join token: when that ends, RFC 3339; of a kubeconfig
/// that of its user. Who looks after certificates needs no right to read keys.
pub const NOT_AFTER: &str = "k0smotron.io/not-after";

/// Field manager of the controller.
pub const FIELD_MANAGER: &str = "k0smotron-operator";

/// Annotation of children: hash of the body that was applied last.
pub const APPLIED_HASH_ANNOTATION: &str = "k0smotron.io/applied-hash";
/// Annotation of StatefulSets: digests of the public keys that their pods were made with, by the type
/// of the certificate, as JSON.
pub const PUBLIC_KEYS_ANNOTATION: &str = "k0smotron.io/public-keys";
/// Annotation that `JoinTokenRequests` carried over from v1beta1 have: namespace of the Cluster.
pub const CLUSTER_REF_NAMESPACE_ANNOTATION: &str = "k0smotron.io/cluster-ref-namespace";

/// Annotation of v1beta2 Clusters: v1beta1's `spec.service.labels`, as JSON.
pub const SERVICE_LABELS_ANNOTATION: &str = "k0smotron.io/conversion-dropped-service.labels";
/// Annotation of v1beta2 Clusters: v1beta1's `spec.service.annotations`, as JSON.
pub const SERVICE_ANNOTATIONS_ANNOTATION: &str =
    "k0smotron.io/conversion-dropped-service.annotations";
/// Annotation of v1beta2 Clusters: v1beta1's `spec.service.externalTrafficPolicy`, as JSON.
pub const EXTERNAL_TRAFFIC_POLICY_ANNOTATION: &str =
    "k0smotron.io/conversion-dropped-service.externalTrafficPolicy";
/// Annotation of v1beta2 Clusters: v1beta1's `spec.service.loadBalancerClass`, as JSON.
pub const LOAD_BALANCER_CLASS_ANNOTATION: &str =
    "k0smotron.io/conversion-dropped-service.loadBalancerClass";

/// Annotation of v1beta2 objects: what v1beta1 says of them and v1beta2 cannot.
pub const ONLY_IN_V1BETA1_ANNOTATION: &str = "k0smotron.io/only-in-v1beta1";
/// Annotation of v1beta1 objects: what v1beta2 says of them and v1beta1 cannot.
pub const ONLY_IN_V1BETA2_ANNOTATION: &str = "k0smotron.io/only-in-v1beta2";
/// Annotation of v1beta2 objects that come from v1beta1: what could not be taken over.
pub const CONVERSION_ERROR_ANNOTATION: &str = "k0smotron.io/conversion-error";
/// Label of v1beta1 objects that can be read only, with their uid: what v1beta2 says of them besides
/// is more than fits into an annotation.
pub const READ_ONLY_LABEL: &str = "k0smotron.io/read-only-in-v1beta1";

/// Namespace of the product.
pub const SYSTEM_NAMESPACE: &str = "k0smotron";
/// Service through which the API server has objects decided about and converted, in [`SYSTEM_NAMESPACE`].
pub const CONVERSION_SERVICE: &str = "k0smotron-webhook";
/// Path of the conversion at [`CONVERSION_SERVICE`].
pub const CONVERSION_PATH: &str = "/convert";
/// Port of [`CONVERSION_SERVICE`].
pub const CONVERSION_PORT: i32 = 443;
/// Annotation of the claim of an etcd member: any value but `false` says that the member was added
/// to the others by hand, so that members may join without data until all are ready, once.
pub const ETCD_MEMBER_ADDED_ANNOTATION: &str = "k0smotron.io/etcd-member-added";
/// Annotation of Clusters: any value but `false` keeps them from being deleted.
pub const PROTECT_ANNOTATION: &str = "k0smotron.io/protect";
/// Annotation of Clusters: the version to which an upgrade is made although another one is running
/// or the Cluster is not healthy.
pub const FORCE_UPGRADE_ANNOTATION: &str = "k0smotron.io/force-upgrade";

/// Key of the k0s configuration in its ConfigMap, and the environment variable made from it.
pub const K0S_CONFIG_KEY: &str = "K0SMOTRON_K0S_YAML";
/// Key of the manifest in the endpoint's ConfigMap.
pub const ENDPOINT_KEY: &str = "endpoint.yaml";
/// Key of the manifest in the telemetry's ConfigMap.
pub const TELEMETRY_KEY: &str = "configmap.yaml";
/// Key of the kubeconfig in its Secret.
pub const KUBECONFIG_KEY: &str = "value";
/// Key of the token in a JoinTokenRequest's Secret.
pub const TOKEN_KEY: &str = "token";
/// Key of the certificate (or public key) in a certificate's Secret.
pub const TLS_CERT_KEY: &str = "tls.crt";
/// Key of the private key in a certificate's Secret.
pub const TLS_KEY_KEY: &str = "tls.key";

/// Annotation that kubectl writes with a copy of the whole object.
pub const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Type of the Secrets with certificates and with the kubeconfig.
pub const CLUSTER_SECRET_TYPE: &str = "cluster.x-k8s.io/secret";
/// Type of the Secrets with join tokens.
pub const TOKEN_SECRET_TYPE: &str = "Opaque";

/// Name of the control-plane container.
pub const CONTROLLER_CONTAINER: &str = "controller";
/// Name of the etcd container.
pub const ETCD_CONTAINER: &str = "etcd";
/// Name of etcd's claim template.
pub const ETCD_DATA_VOLUME: &str = "etcd-data";
/// The data directory in the control-plane container.
pub const DATA_DIR: &str = "/var/lib/k0s";
/// The folder in the control-plane container where k0s looks for manifests.
pub const MANIFESTS_DIR: &str = "/var/lib/k0s/manifests";

/// Name of the port of the hosted API, in Services and containers.
pub const API_PORT: &str = "api";
/// Name of the port of konnectivity, in Services and containers.
pub const KONNECTIVITY_PORT: &str = "konnectivity";

const MAX_LABEL: usize = 63;
/// Characters of a digest that tell one revision from another.
const REVISION: usize = 10;

/// `name` if it fits into a label, else its beginning and a part of its hash.
fn short(name: String) -> String {
    if name.len() <= MAX_LABEL {
        return name;
    }
    let digest = hex(&Md5::digest(name.as_bytes()));
    let head: String = name.chars().take(57).collect();
    let tail: String = digest.chars().take(5).collect();
    format!("{head}-{tail}")
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The control plane's StatefulSet, its pods' prefix, its disruption budget, its Ingress, and the
/// volume with its data.
pub fn control_plane(cluster: &str) -> String {
    short(format!("kmc-{cluster}"))
}

/// The Service in front of the control plane.
pub fn service(cluster: &str, service_type: ServiceType) -> String {
    match service_type {
        ServiceType::ClusterIP => short(format!("kmc-{cluster}")),
        ServiceType::NodePort => short(format!("kmc-{cluster}-nodeport")),
        ServiceType::LoadBalancer => short(format!("kmc-{cluster}-lb")),
    }
}

/// etcd's StatefulSet and the headless Service that gives its members their names.
pub fn etcd(cluster: &str) -> String {
    short(format!("kmc-{cluster}-etcd"))
}

/// The claim with the data of an etcd member.
pub fn etcd_claim(cluster: &str, index: i32) -> String {
    format!("{ETCD_DATA_VOLUME}-{}-{index}", etcd(cluster))
}

/// The claim with the data of a control plane's pod, made for this volume.
pub fn control_plane_claim(volume: &str, cluster: &str, index: i32) -> String {
    format!("{volume}-{}-{index}", control_plane(cluster))
}

/// Whether a claim of this name may be that of an etcd member or a control plane.
pub fn may_be_our_claim(claim: &str) -> bool {
    claim.contains("-kmc-")
}

/// The Cluster for whose member a claim of this name is; `None` also where it is too long to say.
pub fn cluster_of_etcd_claim(claim: &str) -> Option<&str> {
    let set = claim.strip_prefix(ETCD_DATA_VOLUME)?;
    let (name, _) = set.strip_prefix("-kmc-")?.rsplit_once("-etcd-")?;
    Some(name)
}

/// The Service through which clients reach ready etcd members only.
pub fn etcd_client_service(cluster: &str) -> String {
    short(format!("kmc-{cluster}-etcd-client"))
}

/// The ConfigMap from which an etcd member learns its initial cluster.
pub fn etcd_config(cluster: &str) -> String {
    short(format!("kmc-{cluster}-etcd-config"))
}

/// The ConfigMap with the manifest that tells the hosted cluster its own address.
pub fn endpoint_config(cluster: &str) -> String {
    short(format!("kmc-{cluster}-endpoint"))
}

/// The ConfigMap with the k0s configuration.
pub fn config(cluster: &str) -> String {
    short(format!("kmc-{cluster}-config"))
}

/// The ConfigMap with the k0s configuration of the pods of one revision. Never shortened: a ConfigMap
/// may be called that.
pub fn config_revision(cluster: &str, revision: &str) -> String {
    let revision: String = revision.chars().take(REVISION).collect();
    format!("{}-{revision}", config(cluster))
}

/// Whether a ConfigMap of this name is [`config_revision`]'s, whatever the revision.
pub fn is_config_revision(cluster: &str, name: &str) -> bool {
    let rest = name.strip_prefix(&config(cluster));
    let revision = rest.and_then(|rest| rest.strip_prefix('-'));
    revision.is_some_and(|it| it.len() == REVISION && it.chars().all(|c| c.is_ascii_hexdigit()))
}

/// The ConfigMap with the manifest that tells the hosted cluster what hosts it. Never shortened:
/// a ConfigMap may be called that.
pub fn telemetry_config(cluster: &str) -> String {
    format!("kmc-{cluster}-telemetry-config")
}

/// The Secret with the kubeconfig. Never shortened: Cluster API looks it up by this form.
pub fn kubeconfig(cluster: &str) -> String {
    format!("{cluster}-kubeconfig")
}

/// The Secret with a certificate. Never shortened: Cluster API looks it up by this form.
pub fn certificate(cluster: &str, certificate: CertificateType) -> String {
    format!("{cluster}-{certificate}")
}

/// The volume of a `spec.mounts` entry: the path with dashes for slashes, and where that is no
/// volume name, its usable characters and a part of the path's hash.
pub fn mount_volume(path: &str) -> String {
    let dashed = path.trim_matches('/').replace('/', "-");
    if is_label(&dashed) {
        return dashed;
    }
    let usable: String = dashed
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .take(MAX_LABEL - 6)
        .collect();
    let digest: String = hex(&Sha256::digest(path.as_bytes()))
        .chars()
        .take(5)
        .collect();
    match usable.trim_matches('-') {
        "" => format!("mount-{digest}"),
        usable => format!("{usable}-{digest}"),
    }
}

/// The name of a volume that is to be called so, at its `turn`th try to find one that nobody has.
pub(crate) fn volume(name: &str, turn: usize) -> String {
    if turn == 0 && name.len() <= MAX_LABEL {
        return name.to_owned();
    }
    let head: String = name.chars().take(MAX_LABEL - 6).collect();
    let digest = hex(&Sha256::digest(format!("{name}/{turn}")));
    let tail: String = digest.chars().take(5).collect();
    format!("{}-{tail}", head.trim_end_matches('-'))
}

/// Whether Kubernetes takes `name` as a DNS label (RFC 1123): volumes, and the first part of
/// host names.
pub fn is_label(name: &str) -> bool {
    name.len() <= MAX_LABEL && is_dns_part(name)
}

/// Whether Kubernetes takes `name` as the name of most objects (RFC 1123 subdomain).
pub fn is_object_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_part)
}

fn is_dns_part(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}
