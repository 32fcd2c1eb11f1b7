//! Rules for `spec.ingress`: its hosts, and the k0s from which on workers can use it.

use super::{Errors, texts};
use crate::names;
use crate::v1beta2::ClusterSpec;
use crate::version::{self, K0sVersion};

/// The first k0s that workers can use through an ingress.
const FIRST: &str = "v1.34.1+k0s.0";

pub(super) fn validate(errors: &mut Errors, spec: &ClusterSpec) {
    let Some(ingress) = &spec.ingress else {
        return;
    };
    let hosts = [
        ("spec.ingress.apiHost", &ingress.api_host),
        ("spec.ingress.konnectivityHost", &ingress.konnectivity_host),
    ];
    for (path, host) in hosts {
        if !names::is_object_name(host) {
            errors
                .invalid(path, host, texts::SUBDOMAIN)
                .hint("without scheme and port");
        }
    }
    if ingress.api_host == ingress.konnectivity_host {
        errors.invalid(
            "spec.ingress.konnectivityHost",
            &ingress.konnectivity_host,
            "must be different from spec.ingress.apiHost: the ingress controller routes by host name",
        );
    }
    if !(1..=65535).contains(&ingress.port) {
        errors.invalid("spec.ingress.port", ingress.port, texts::PORT);
    }
    let wanted = version::requested(spec);
    if let (Ok(version), Ok(first)) = (wanted.parse::<K0sVersion>(), FIRST.parse::<K0sVersion>())
        && version.is_older_than(&first)
    {
        errors.invalid(
            "spec.version",
            wanted,
            format!("must be {FIRST} or newer when spec.ingress is set"),
        );
    }
}

/// What works with an ingress and is likely a mistake.
pub(super) fn warn(warnings: &mut Errors, spec: &ClusterSpec) {
    if let Some(ingress) = &spec.ingress
        && ingress.deploy != Some(false)
        && ingress.annotations.is_empty()
    {
        warnings
            .warning(
                "spec.ingress.annotations",
                "",
                "are empty: most ingress controllers pass TLS through only when an annotation says so",
            )
            .hint("such as nginx.ingress.kubernetes.io/ssl-passthrough: \"true\"");
    }
}
