use super::Errors;
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
            errors.add(
                path,
                host,
                "is no host name",
                "lower-case letters, digits, dashes and dots; no scheme, no port",
            );
        }
    }
    if ingress.api_host == ingress.konnectivity_host {
        errors.add(
            "spec.ingress.konnectivityHost",
            &ingress.konnectivity_host,
            "must differ from spec.ingress.apiHost: the ingress controller tells the two apart by their names",
            "",
        );
    }
    if !(1..=65535).contains(&ingress.port) {
        errors.add(
            "spec.ingress.port",
            ingress.port,
            "is no port number",
            "1 to 65535",
        );
    }
    let wanted = version::requested(spec);
    if let (Ok(version), Ok(first)) = (wanted.parse::<K0sVersion>(), FIRST.parse::<K0sVersion>())
        && version.is_older_than(&first)
    {
        errors.add(
            "spec.version",
            wanted,
            "cannot be reached through spec.ingress",
            format!("{FIRST} or newer"),
        );
    }
}

/// What works with an ingress and is likely a mistake.
pub(super) fn warn(warnings: &mut Errors, spec: &ClusterSpec) {
    if let Some(ingress) = &spec.ingress
        && ingress.deploy != Some(false)
        && ingress.annotations.is_empty()
    {
        warnings.add(
            "spec.ingress.annotations",
            "",
            "are empty, and most ingress controllers pass TLS through only when an annotation says so",
            "such as nginx.ingress.kubernetes.io/ssl-passthrough: \"true\"",
        );
    }
}
