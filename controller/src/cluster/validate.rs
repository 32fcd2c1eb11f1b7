//! A Cluster and what was found, or all that is wrong with it. At which address the hosted API is
//! reached is decided here, for each way in.

use std::collections::BTreeMap;

use crds::k0s_config;
use crds::names;
use crds::service_annotations::ServiceSettings;
use crds::upgrade;
use crds::v1beta2::{
    CertificateType, Cluster, ClusterSpec, ServiceType, StatusPorts, odd_etcd_members,
};
use crds::validation::{self, FieldError};
use crds::version::K0sVersion;
use crds::volumes::Volumes;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use crate::apply::desired::Desired;

use super::dereference::{CertificateSecret, Claim, Observed, addresses, knows_token};

/// Why nothing is done for a Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Fields that this version does not honour.
    NotImplemented(Vec<String>),
    /// Fields that cannot work.
    Invalid(Vec<FieldError>),
    /// The spec may be fine, but a Secret that it names has not been read.
    Unread,
}

/// Where workers and users reach the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Only inside the mothership, by the Service's name.
    Internal,
    /// From outside, by this host name or IP address.
    External(String),
    /// Not known yet.
    Waiting {
        /// Reason for the condition.
        reason: &'static str,
        /// What is missing and what to do.
        message: String,
    },
}

/// A Cluster that can be built.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact that was found, and none follows from another"
)]
pub struct ValidCluster {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// Its spec, with the version that it leaves out.
    pub spec: ClusterSpec,
    /// What else its Service is.
    pub service: ServiceSettings,
    /// Its k0s version, if it is written as one.
    pub version: Option<K0sVersion>,
    /// The image with its tag.
    pub image: String,
    /// The reference that its children carry.
    pub owner: OwnerReference,
    /// The numbers that its ports are to have, once they are known: those that are wanted, else
    /// those that the API server has allocated.
    pub ports: Option<StatusPorts>,
    /// The Service has these ports: until then nobody must listen on them, or be told of them.
    pub has_ports: bool,
    /// The numbers that its Service has: those, else what is recorded of a change that is under way, or
    /// refused.
    pub served_ports: Option<StatusPorts>,
    /// Addresses of its Service inside the mothership, once it exists.
    pub service_ips: Vec<String>,
    /// The Service of etcd's clients was made with an address of its own.
    pub etcd_clients_have_an_address: bool,
    /// Where it is reached from outside.
    pub address: Address,
    /// The node or the load balancer that the address came from does not have it any more.
    pub address_is_gone: bool,
    /// How many etcd members it was created with.
    pub etcd_members: i32,
    /// The Secrets of its roots, and of what else the user names.
    pub certificate_secrets: BTreeMap<CertificateType, CertificateSecret>,
    /// The Secrets and ConfigMaps of its own that exist, by name, each with the digest of what was
    /// applied last.
    pub existing: BTreeMap<String, Option<String>>,
    /// The control plane's StatefulSet as it is.
    pub control_plane: Option<StatefulSet>,
    /// The etcd StatefulSet as it is.
    pub etcd: Option<StatefulSet>,
    /// What etcd's members start with, as it is.
    pub etcd_config: Option<BTreeMap<String, String>>,
    /// The claims of members, by their number, whoever's they are.
    pub claims: BTreeMap<i32, Claim>,
    /// Those of the control plane's pods.
    pub data_claims: Vec<Claim>,
    /// It has been available once: somebody relies on what is in its etcd.
    pub was_available: bool,
    /// How long leaf certificates last.
    pub leaf_lifetime: jiff::SignedDuration,
}

impl ValidCluster {
    /// The Service's name.
    pub fn service_name(&self) -> String {
        crds::names::service(&self.name, self.spec.service.type_)
    }

    /// The Service's name as a host of the mothership's DNS.
    pub fn service_host(&self) -> String {
        format!("{}.{}.svc", self.service_name(), self.namespace)
    }

    /// The host that a kubeconfig and a token name, once it is known.
    pub fn host(&self) -> Option<String> {
        match &self.address {
            Address::Internal => Some(self.service_host()),
            Address::External(host) => Some(host.clone()),
            Address::Waiting { .. } => None,
        }
    }

    /// `https://host:port`, once both are known.
    pub fn endpoint(&self) -> Option<String> {
        let host = self.host()?;
        let port = self.ports.as_ref()?.api;
        Some(if host.contains(':') {
            format!("https://[{host}]:{port}")
        } else {
            format!("https://{host}:{port}")
        })
    }

    /// Replicas of the control plane.
    pub const fn replicas(&self) -> i32 {
        self.spec.replicas
    }

    /// The number of etcd members, once there is anything of etcd: until then `spec.replicas` may
    /// change it.
    pub fn begun_members(&self) -> Option<i32> {
        let begun = self.was_available || self.etcd.is_some() || self.etcd_config.is_some();
        begun.then_some(self.etcd_members)
    }

    /// The version as it is reported once every replica runs it: the image's tag.
    pub fn running_version(&self) -> String {
        self.version.as_ref().map_or_else(
            || crds::version::requested(&self.spec).to_owned(),
            K0sVersion::image_tag,
        )
    }

    /// Its volumes.
    pub fn volumes(&self) -> Volumes<'_> {
        Volumes::new(&self.name, &self.spec)
    }

    /// Whether an object is there as it was last asked for: what reads it only once follows then.
    pub fn has(&self, wanted: &Desired) -> bool {
        let applied = self.existing.get(&wanted.key.name);
        applied.is_some_and(|hash| hash.as_deref() == Some(wanted.hash()))
    }

    /// The Secret with the certificate of this type.
    pub fn certificate_secret(&self, type_: CertificateType) -> Option<&CertificateSecret> {
        self.certificate_secrets.get(&type_)
    }
}

/// Checks a Cluster with the rules of the `crds` crate and joins it with what was found.
pub fn validate(
    cluster: &Cluster,
    observed: &Observed,
    leaf_lifetime: jiff::SignedDuration,
) -> Result<ValidCluster, Refusal> {
    let mut errors = validation::validate_cluster(cluster);
    // The webhook refuses it at the door, unless it was down.
    errors.extend(upgrade::refusal(cluster));
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
    }
    let later = validation::not_implemented(&cluster.spec);
    if !later.is_empty() {
        return Err(Refusal::NotImplemented(later));
    }
    let mut spec = cluster.spec.clone();
    let recorded = cluster.status.clone().unwrap_or_default();
    let says_none = |version: &Option<String>| version.as_deref().is_none_or(str::is_empty);
    if says_none(&spec.version) && says_none(&recorded.version) {
        spec.version = observed.control_plane.as_ref().and_then(found_version);
    }
    let wanted = upgrade::target(&spec, cluster.status.as_ref()).to_owned();
    let version = wanted.parse().ok();
    spec.version = Some(wanted);
    spec.k0s_config = spec.k0s_config.map(k0s_config::canonical);
    let was_available = recorded.was_available();
    let ports = cluster.wanted_ports().or(observed.node_ports()).both();
    let has_ports = ports.is_some_and(|ports| observed.serves(ports));
    let (address, address_is_gone) = address(cluster, observed, was_available);
    let etcd_members = recorded
        .etcd_members
        .or_else(|| found_members(cluster, observed))
        .unwrap_or_else(|| spec.initial_etcd_members());
    Ok(ValidCluster {
        name: cluster.name_any(),
        namespace: cluster.namespace().unwrap_or_default(),
        uid: cluster.uid().unwrap_or_default(),
        labels: cluster.labels().clone(),
        service: service(cluster, observed),
        image: crds::version::image(&spec),
        version,
        owner: cluster.controller_owner_ref(&()).unwrap_or_default(),
        has_ports,
        served_ports: if has_ports {
            ports
        } else {
            cluster.recorded_ports().both()
        },
        ports,
        service_ips: addresses(observed.service.as_ref()),
        etcd_clients_have_an_address: !addresses(observed.etcd_clients.as_ref()).is_empty(),
        address,
        address_is_gone,
        etcd_members,
        certificate_secrets: observed.certificate_secrets.clone(),
        existing: observed.existing.clone(),
        control_plane: observed.control_plane.clone(),
        etcd: observed.etcd.clone(),
        etcd_config: observed
            .etcd_config
            .as_ref()
            .map(|config| config.data.clone().unwrap_or_default()),
        claims: observed.claims.clone(),
        data_claims: observed.data_claims.clone(),
        was_available,
        leaf_lifetime,
        spec,
    })
}

/// The version that the pods have which were found: earlier installations recorded none.
pub fn found_version(control_plane: &StatefulSet) -> Option<String> {
    let set = control_plane.spec.as_ref()?;
    let containers = &set.template.spec.as_ref()?.containers;
    let container = containers
        .iter()
        .find(|container| container.name == names::CONTROLLER_CONTAINER)?;
    // A digest may stand behind the tag.
    let (_, tag) = container
        .image
        .as_ref()?
        .split('@')
        .next()?
        .rsplit_once(':')?;
    let version: K0sVersion = tag.parse().ok()?;
    Some(version.image_tag())
}

/// The class of a load balancer stays what it is, set or not: an apply that says otherwise is
/// refused, and nothing else of the Service could change any more.
fn service(cluster: &Cluster, observed: &Observed) -> ServiceSettings {
    let mut settings = ServiceSettings::from_cluster(cluster);
    let live = observed.service.as_ref();
    if let Some(live) = live.and_then(|service| service.spec.as_ref())
        && live.type_.as_deref() == Some("LoadBalancer")
    {
        settings
            .load_balancer_class
            .clone_from(&live.load_balancer_class);
    }
    settings
}

/// The members of an etcd that was found: as many as it has, and where upstream's is not all there,
/// as many as have data. What lies beside one that serves, or beside one of ours, is somebody else's.
fn found_members(cluster: &Cluster, observed: &Observed) -> Option<i32> {
    let (set, uid) = (observed.etcd.as_ref()?, cluster.metadata.uid.as_ref());
    let found = set.spec.as_ref()?.replicas;
    let ready = set.status.as_ref().and_then(|status| status.ready_replicas);
    let is_all_there = found.is_some_and(|found| found > 0 && ready >= Some(found));
    let of_claims = if is_all_there || knows_token(set) {
        None
    } else {
        let stay = observed.claims.iter().filter(|(_, claim)| {
            !claim.deleting && claim.of.as_ref().is_none_or(|of| Some(of) == uid)
        });
        stay.map(|(last, _)| odd_etcd_members(last + 1)).next_back()
    };
    found.max(of_claims).filter(|members| *members > 0)
}

/// The host that is asked for, else what the mothership offers now, and whether that is gone. What is
/// recorded goes before the others that are offered, in whatever order they come; when it is offered no
/// more it stays for a Cluster that has served, because workers know it.
fn address(cluster: &Cluster, observed: &Observed, was_available: bool) -> (Address, bool) {
    let type_ = cluster.spec.service.type_;
    if let Some(asked) = cluster.spec.asked_host() {
        return (Address::External(asked.to_owned()), false);
    }
    let recorded = cluster.recorded_host().map(str::to_owned);
    let (is_offered, offered, missing) = match type_ {
        ServiceType::ClusterIP => return (Address::Internal, false),
        ServiceType::NodePort => (
            observed.node_address_alive,
            observed.node_address.clone(),
            NO_NODE_ADDRESS,
        ),
        ServiceType::LoadBalancer => {
            let offered = observed.load_balancer_addresses();
            let is_offered = recorded.as_ref().is_some_and(|host| offered.contains(host));
            (is_offered, offered.into_iter().next(), NOT_BALANCED)
        }
    };
    let balanced_anew = type_ == ServiceType::LoadBalancer && offered.is_some();
    match (recorded, offered) {
        (Some(recorded), _) if is_offered => (Address::External(recorded), false),
        (Some(recorded), _) if was_available && !balanced_anew => {
            (Address::External(recorded), true)
        }
        (_, Some(offered)) => (Address::External(offered), false),
        (_, None) => {
            let (reason, message) = missing;
            let message = message.to_owned();
            (Address::Waiting { reason, message }, false)
        }
    }
}

const NO_NODE_ADDRESS: (&str, &str) = (
    "NoNodeAddress",
    "no node of the mothership has an address: set spec.externalAddress",
);
const NOT_BALANCED: (&str, &str) = (
    "WaitingForLoadBalancer",
    "the mothership has not given the Service a load balancer's address yet: install a load \
     balancer, set spec.externalAddress, or use another spec.service.type",
);

#[cfg(test)]
mod tests;
