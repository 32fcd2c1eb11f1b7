//! What k0s, or what it runs, ends over although the configuration can be read.

use serde_json::Value;

use super::kubelet::KUBELET;
use super::rules::{self, items};
use super::schema::IMAGES;
use super::text::{self, get, get_text};
use super::walk::{self, Walk, shown};
use super::{PATH, Reader, arguments, ranges};
use crate::k0s_flags;
use crate::v1beta2::{Cluster, ClusterSpec};
use crate::validation::Findings;

/// What a new Cluster's control plane would not start with, and which of its arguments do something
/// else than what they look like.
pub(crate) fn start(cluster: &Cluster) -> Findings {
    let config = cluster.spec.k0s_config.as_ref();
    let Some(spec) = config.and_then(|config| get(config, &["spec"])) else {
        return Findings::default();
    };
    let reader = Reader::of(cluster);
    let mut walk = Walk::new(&reader, PATH);
    address(&mut walk, &cluster.spec, spec);
    arguments::check(&mut walk, &cluster.spec, spec);
    images(&mut walk, spec);
    if reader.minor() < 34 {
        ranges::of_old(&mut walk, spec);
        profiles(&mut walk, spec);
    }
    walk.errors.0.truncate(walk::MOST);
    walk.warnings.0.truncate(walk::MOST);
    Findings::new(walk.errors, walk.warnings)
}

/// Calico's part reads it, whichever network there is.
fn address(walk: &mut Walk<'_>, cluster: &ClusterSpec, spec: &Value) {
    let external = get_text(spec, &["api", "externalAddress"]).unwrap_or_default();
    if walk.reader.minor() >= 34
        && walk.reader.keeps_address
        && text::is_host(text::host(external))
        && !text::has_port_or_none(external)
        && !k0s_flags::disables(cluster, "network-provider")
    {
        walk.errors
            .invalid(
                format!("{PATH}.spec.api.externalAddress"),
                shown(external),
                "must have a port between 1 and 65535, or none: k0s ends over any other",
            )
            .hint("a host without a scheme, such as kube.example.org");
    }
}

/// k0s goes to its own images by name where no API has filled in what is left out.
fn images(walk: &mut Walk<'_>, spec: &Value) {
    let Some(images) = get(spec, &["images"]) else {
        return;
    };
    if walk.reader.minor() >= 32 && !walk.reader.live && !rules::has_repository(images) {
        let path = format!("{PATH}.spec.images");
        let why = "may not be null with --enable-dynamic-config=false";
        rules::nulls(walk, IMAGES, images, &path, why);
    }
}

/// One profile that cannot be read keeps the settings of all of them from every worker. Later
/// releases look at them at their start.
fn profiles(walk: &mut Walk<'_>, spec: &Value) {
    for (index, profile) in items(spec, &["workerProfiles"]) {
        let path = format!("{PATH}.spec.workerProfiles[{index}]");
        let name = get_text(profile, &["name"]).unwrap_or_default();
        if !text::is_profile(name) {
            walk.errors
                .invalid(format!("{path}.name"), shown(name), text::PROFILE);
        }
        let Some(values) = get(profile, &["values"]) else {
            continue;
        };
        if let Some(object) = values.as_object() {
            let path = format!("{path}.values");
            let mut kubelet = Walk::new(walk.reader, &path).lenient().of_types();
            kubelet.object(KUBELET, object, values);
            walk.errors.0.extend(kubelet.errors.0);
        }
    }
}
