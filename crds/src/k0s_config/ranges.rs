//! Ranges of addresses, of Services and of pods.

use serde_json::Value;

use super::text::{self, Range, get, get_text};
use super::walk::{Walk, shown};
use super::{PATH, arguments};

pub(super) fn check(walk: &mut Walk<'_>, spec: &Value, network: &Value) {
    let path = |field: &str| format!("{PATH}.spec.network.{field}");
    let minor = walk.reader.minor();
    let dual = get(network, &["dualStack", "enabled"]) == Some(&Value::Bool(true));
    let given = |field: &str, default: &'static str| {
        get_text(network, &[field]).unwrap_or(default).to_owned()
    };
    let (pod, service) = (
        given("podCIDR", "10.244.0.0/16"),
        given("serviceCIDR", "10.96.0.0/12"),
    );
    let (pods, services) = (text::range(&pod), text::range(&service));
    if let (Some(pods), Some(services)) = (pods, services) {
        if minor >= 34 && pods.is_v4() != services.is_v4() {
            walk.errors.invalid(
                path("podCIDR"),
                &pod,
                "must be of the same IP family as serviceCIDR",
            );
        }
        if minor >= 34 && !dual && !pods.is_v4() && !walk.reader.only_ipv6 {
            walk.errors
                .invalid(path("podCIDR"), &pod, "must be of IPv4")
                .hint("for IPv6 alone, add --feature-gates=IPv6SingleStack=true to spec.controlPlaneFlags; for both, set dualStack");
        }
        if services.free_bits() < 3 {
            walk.errors.invalid(
                path("serviceCIDR"),
                &service,
                "must hold at least 8 addresses",
            );
        } else if minor >= 35 && !services.is_v4() && services.free_bits() < 20 {
            walk.errors.invalid(
                path("serviceCIDR"),
                &service,
                "must have a mask of /108 or shorter",
            );
        }
        if pods.meets(&services) {
            walk.warnings.warning(
                path("podCIDR"),
                &pod,
                format!("overlaps with the addresses of Services, {service}"),
            );
        }
        narrow(walk, spec, "podCIDR", &pod, dual);
    }
    if dual {
        let second = ["dualStack", "IPv6podCIDR"];
        if let Some(range) = get_text(network, &second) {
            narrow(walk, spec, &second.join("."), range, dual);
        }
        self::dual(walk, network, pods, services);
    }
}

/// A node gets a /24, or as much of IPv6 as k0s says, unless arguments say otherwise. Kubernetes splits
/// a range of IPv6 into no more than 2^16 of these.
fn narrow(walk: &mut Walk<'_>, spec: &Value, field: &str, text: &str, dual: bool) {
    let manager = |field: &str| get(spec, &["controllerManager", field]);
    let sized = manager("extraArgs")
        .and_then(Value::as_object)
        .is_some_and(|arguments| arguments.keys().any(|key| key.contains("node-cidr")))
        || manager("rawArgs").is_some();
    let Some(range) = text::range(text).filter(|_| !sized) else {
        return;
    };
    let minor = walk.reader.minor();
    let (family, least, node) = match (range.is_v4(), minor) {
        (true, _) => ("ipv4", 0, 24),
        // Of one family, k0s says nothing of IPv6 before it can do with it alone.
        (false, ..34) if !dual => return,
        (false, ..34) => ("ipv6", 94, 110),
        (false, 34..) => ("ipv6", 101, 117),
    };
    let message = if range.mask > node {
        let gets = if range.is_v4() {
            "256 addresses".to_owned()
        } else {
            format!("a /{node}")
        };
        format!("is too small for a node, which gets {gets}: kube-controller-manager ends")
    } else if range.mask < least {
        format!("is too large for nodes that get a /{node} each: kube-controller-manager ends")
    } else {
        return;
    };
    let masks = if least > 0 {
        format!("a mask of /{least} to /{node}")
    } else {
        format!("a mask of /{node} or shorter")
    };
    let which = if dual {
        format!("-{family}")
    } else {
        String::new()
    };
    walk.warnings
        .warning(format!("{PATH}.spec.network.{field}"), text, message)
        .hint(format!(
            "{masks}, or controllerManager.extraArgs[node-cidr-mask-size{which}]"
        ));
}

fn dual(walk: &mut Walk<'_>, network: &Value, pods: Option<Range>, services: Option<Range>) {
    let minor = walk.reader.minor();
    let at = |field: &str| format!("{PATH}.spec.network.{field}");
    for (field, range) in [("podCIDR", pods), ("serviceCIDR", services)] {
        if minor >= 34 && range.is_some_and(|range| !range.is_v4()) {
            let value = get_text(network, &[field]).unwrap_or_default();
            walk.errors
                .invalid(at(field), shown(value), "must be of IPv4 with dualStack");
        }
    }
    for field in ["IPv6podCIDR", "IPv6serviceCIDR"] {
        let path = at(&format!("dualStack.{field}"));
        let given = get_text(network, &["dualStack", field]).unwrap_or_default();
        match text::range(given) {
            None if given.is_empty() => {
                walk.errors
                    .required(path, "must be specified when dualStack is enabled");
            }
            None => {
                walk.errors.invalid(path, shown(given), text::CIDR);
            }
            Some(range) if minor >= 35 && range.is_v4() => {
                walk.errors.invalid(path, given, "must be of IPv6");
            }
            Some(range) if minor >= 35 && field == "IPv6serviceCIDR" && range.free_bits() > 20 => {
                walk.errors
                    .invalid(path, given, "must have a mask of /108 or longer");
            }
            Some(range) if field == "IPv6serviceCIDR" && range.free_bits() < 3 => {
                walk.errors
                    .invalid(path, given, "must hold at least 8 addresses");
            }
            Some(_) => {}
        }
    }
    let mode = get_text(network, &["calico", "mode"]).unwrap_or("vxlan");
    if get_text(network, &["provider"]) == Some("calico") && mode != "bird" {
        walk.errors
            .forbidden(
                at("calico.mode"),
                format!("may not be {} with dualStack", shown(mode)),
            )
            .hint("bird");
    }
}

/// Before v1.34, k0s finds no address for DNS in a range of IPv6, and an API server remembers every
/// address of a range.
pub(super) fn of_old(walk: &mut Walk<'_>, spec: &Value) {
    let network = |path: &[&str]| {
        let text = get(spec, &["network"]).and_then(|network| get_text(network, path))?;
        Some((text, text::range(text)?))
    };
    let at = |field: &str| format!("{PATH}.spec.network.{field}");
    let takes_large = arguments::takes_large_ranges(spec);
    if let Some((text, range)) = network(&["serviceCIDR"]) {
        if !range.is_v4() {
            walk.errors
                .invalid(at("serviceCIDR"), text, "must be of IPv4 before k0s v1.34");
        } else if range.free_bits() > 20 && !takes_large {
            walk.errors.invalid(
                at("serviceCIDR"),
                text,
                "must have a mask of /12 or longer before k0s v1.34",
            );
        }
    }
    let dual = get(spec, &["network", "dualStack", "enabled"]) == Some(&Value::Bool(true));
    if let Some((text, range)) = network(&["dualStack", "IPv6serviceCIDR"])
        && dual
        && range.free_bits() > 20
        && !takes_large
    {
        walk.errors.invalid(
            at("dualStack.IPv6serviceCIDR"),
            text,
            "must have a mask of /108 or longer before k0s v1.34",
        );
    }
}
