//! What fields of the configuration must be to each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::PATH;
use super::kind::{Field, Kind};
use super::kubelet::KUBELET;
use super::ranges;
use super::schema::IMAGES;
use super::text::{self, get, get_text};
use super::walk::{Walk, shown};
use crate::validation::FieldError;

/// Not in a worker profile: k0s sets them.
const RESERVED: [&str; 3] = ["clusterDNS", "clusterDomain", "staticPodURL"];

pub(super) fn check(walk: &mut Walk<'_>, config: &Value) {
    let Some(spec) = get(config, &["spec"]) else {
        return;
    };
    api(walk, spec);
    if let Some(network) = get(spec, &["network"]) {
        ranges::check(walk, spec, network);
        balancing(walk, network);
    }
    if let Some(images) = get(spec, &["images"])
        && walk.reader.minor() >= 32
        && has_repository(images)
    {
        let path = format!("{PATH}.spec.images");
        let why = "may not be null when images.repository is set";
        nulls(walk, IMAGES, images, &path, why);
    }
    profiles(walk, spec);
    live(walk, spec);
}

pub(super) fn items<'a>(
    value: &'a Value,
    path: &[&str],
) -> impl Iterator<Item = (usize, &'a Value)> + use<'a> {
    let items = get(value, path).and_then(Value::as_array);
    items.into_iter().flatten().enumerate()
}

fn api(walk: &mut Walk<'_>, spec: &Value) {
    let external = get_text(spec, &["api", "externalAddress"]).filter(|text| !text.is_empty());
    let Some(external) = external else {
        return;
    };
    let balanced = get(spec, &["network", "nodeLocalLoadBalancing", "enabled"]);
    if balanced == Some(&Value::Bool(true)) {
        walk.errors.forbidden(
            format!("{PATH}.spec.network.nodeLocalLoadBalancing.enabled"),
            "may not be true when spec.k0sConfig.spec.api.externalAddress is set",
        );
    } else if walk.reader.keeps_address
        && (!text::is_host(text::host(external)) || ["0.0.0.0", "::"].contains(&external))
    {
        walk.errors.invalid(
            format!("{PATH}.spec.api.externalAddress"),
            shown(external),
            text::HOST,
        );
    }
}

fn balancing(walk: &mut Walk<'_>, network: &Value) {
    let keepalived = ["controlPlaneLoadBalancing", "keepalived"];
    let Some(keepalived) = get(network, &keepalived) else {
        return;
    };
    let at = format!("{PATH}.spec.network.controlPlaneLoadBalancing.keepalived");
    for (index, instance) in items(keepalived, &["vrrpInstances"]) {
        let source = get_text(instance, &["unicastSourceIP"]).unwrap_or_default();
        let peers: Vec<_> = items(instance, &["unicastPeers"]).collect();
        if walk.reader.minor() < 32 || peers.is_empty() {
            continue;
        }
        if !text::is_ip(source) {
            walk.errors
                .invalid(
                    format!("{at}.vrrpInstances[{index}].unicastSourceIP"),
                    shown(source),
                    text::IP,
                )
                .hint("required with unicastPeers");
        }
        for (number, peer) in peers {
            let peer = peer.as_str().unwrap_or_default();
            let path = format!("{at}.vrrpInstances[{index}].unicastPeers[{number}]");
            if !text::is_ip(peer) {
                walk.errors.invalid(path, shown(peer), text::IP);
            } else if peer == source {
                walk.errors
                    .invalid(path, peer, "must be different from unicastSourceIP");
            }
        }
    }
    for (index, server) in items(keepalived, &["virtualServers"]) {
        let delay = get_text(server, &["delayLoop"]).unwrap_or_default();
        if delay.starts_with('-') {
            walk.errors.invalid(
                format!("{at}.virtualServers[{index}].delayLoop"),
                shown(delay),
                "must be greater than 0",
            );
        }
    }
}

/// k0s puts it into every image, and ends where there is none.
pub(super) fn has_repository(images: &Value) -> bool {
    get_text(images, &["repository"]).is_some_and(|repository| !repository.is_empty())
}

/// Images that are null, and may not be.
pub(super) fn nulls(walk: &mut Walk<'_>, fields: &[Field], images: &Value, path: &str, why: &str) {
    for (key, value) in images.as_object().into_iter().flatten() {
        let field = super::walk::find(fields, key).filter(|field| walk.reader.has(field));
        let Some((field, Kind::Object(inner))) = field.map(|field| (field, &field.kind)) else {
            continue;
        };
        let path = format!("{path}.{}", field.name);
        if value.is_null() {
            walk.errors.required(path, why).hint("leave it out");
        } else {
            nulls(walk, inner, value, &path, why);
        }
    }
}

fn profiles(walk: &mut Walk<'_>, spec: &Value) {
    let minor = walk.reader.minor();
    for (index, profile) in items(spec, &["workerProfiles"]) {
        let path = format!("{PATH}.spec.workerProfiles[{index}].values");
        let values = get(profile, &["values"]);
        let (Some(values), Some(object)) = (values, values.and_then(Value::as_object)) else {
            if values.is_none() && minor < 34 {
                walk.errors.required(path, "");
            }
            continue;
        };
        let mut forbid = |field: &str| {
            walk.errors.forbidden(
                format!("{path}.{field}"),
                "may not be set in a worker profile: k0s sets it",
            );
        };
        if minor < 34 {
            let reserved = RESERVED.iter().chain(&["apiVersion", "kind"]);
            reserved
                .filter(|field| object.contains_key(**field))
                .for_each(|field| forbid(field));
            continue;
        }
        for field in RESERVED {
            if get(values, &[field]).is_some_and(|value| value != "") {
                forbid(field);
            }
        }
        let mut kubelet = Walk::new(walk.reader, &path).lenient();
        kubelet.object(KUBELET, object, values);
        walk.errors.0.extend(kubelet.errors.0);
        walk.warnings.0.extend(kubelet.warnings.0);
        self::kubelet(walk, values, &path);
    }
}

/// What a kubelet's fields must be to each other.
fn kubelet(walk: &mut Walk<'_>, values: &Value, path: &str) {
    const SECOND: i128 = 1_000_000_000;
    let given = |field: &str| get_text(values, &[field]);
    let time = |field: &str| given(field).and_then(text::duration);
    let mut refuse = |field: &str, message: &str| {
        let value = given(field).map(shown).unwrap_or_default();
        walk.errors
            .invalid(format!("{path}.{field}"), value, message);
    };
    if time("imageMinimumGCAge").is_some_and(|age| age < 0) {
        refuse("imageMinimumGCAge", "must be greater than or equal to 0");
    }
    if time("containerLogMonitorInterval").is_some_and(|interval| interval < 3 * SECOND) {
        refuse("containerLogMonitorInterval", "must be at least 3s");
    }
    let grace = ["shutdownGracePeriod", "shutdownGracePeriodCriticalPods"];
    for field in grace {
        if time(field).is_some_and(|time| time != 0 && time < SECOND) {
            refuse(field, "must be 0 or at least 1s");
        }
    }
    let [all, critical] = grace.map(|field| time(field).unwrap_or_default());
    if critical > all.max(0) && critical >= SECOND {
        refuse(grace[1], "must be no longer than shutdownGracePeriod");
    }
    let percent = |field, default| {
        get(values, &[field])
            .and_then(Value::as_f64)
            .unwrap_or(default)
    };
    let high = percent("imageGCHighThresholdPercent", 85.0);
    let low = percent("imageGCLowThresholdPercent", 80.0);
    if low >= high && high <= 100.0 && low <= 100.0 {
        walk.errors.invalid(
            format!("{path}.imageGCLowThresholdPercent"),
            low,
            format!("must be less than imageGCHighThresholdPercent, {high}"),
        );
    }
}

/// What the hosted API refuses of the part that k0s puts there at its start.
fn live(walk: &mut Walk<'_>, spec: &Value) {
    if !walk.reader.live {
        return;
    }
    let hairpin = get_text(spec, &["network", "kuberouter", "hairpin"]).unwrap_or_default();
    let known = ["Enabled", "Allowed", "Disabled"];
    if !hairpin.is_empty()
        && !known.contains(&hairpin)
        && get_text(spec, &["network", "provider"]).is_none_or(|provider| provider != "calico")
    {
        walk.enumerated(FieldError::not_supported(
            format!("{PATH}.spec.network.kuberouter.hairpin"),
            shown(hairpin),
            known,
        ));
    }
    for list in ["workerProfiles", "featureGates"] {
        let names = items(spec, &[list]).filter_map(|(index, item)| {
            Some((format!("[{index}].name"), get_text(item, &["name"])?))
        });
        unique(walk, &format!("{PATH}.spec.{list}"), names);
    }
    for (index, gate) in items(spec, &["featureGates"]) {
        let components = items(gate, &["components"])
            .filter_map(|(number, name)| Some((format!("[{number}]"), name.as_str()?)));
        let path = format!("{PATH}.spec.featureGates[{index}].components");
        unique(walk, &path, components);
    }
}

fn unique<'a>(walk: &mut Walk<'_>, path: &str, names: impl Iterator<Item = (String, &'a str)>) {
    let mut seen = BTreeSet::new();
    for (at, name) in names {
        if !name.is_empty() && !seen.insert(name) {
            walk.errors
                .duplicate(format!("{path}{at}"), shown(name), "");
        }
    }
}
