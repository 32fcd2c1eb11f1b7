//! Ports that programs of one control-plane pod listen at.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::Errors;
use crate::v1beta2::ClusterSpec;
use crate::{k0s_config, k0s_flags};

/// Outside of these a konnectivity server ends.
const KONNECTIVITY: RangeInclusive<i64> = 1024..=49151;
const ANY: RangeInclusive<i64> = 1..=65535;

struct Port {
    number: i64,
    /// The field that says so; `None` where k0s listens there anyway.
    path: Option<String>,
    what: &'static str,
}

impl Port {
    /// A port of the k0s configuration, or its default.
    fn of_config(spec: &ClusterSpec, field: [&str; 2], default: i64, what: &'static str) -> Self {
        let config = spec.k0s_config.as_ref();
        let given = config
            .and_then(|config| k0s_config::value(config, &["spec", field[0], field[1]]))
            .and_then(Value::as_i64)
            .filter(|number| *number != 0);
        Self {
            number: given.unwrap_or(default),
            path: given.map(|_| format!("spec.k0sConfig.spec.{}", field.join("."))),
            what,
        }
    }

    fn of_service(field: &str, number: i32) -> Self {
        Self {
            number: number.into(),
            path: Some(format!("spec.service.{field}")),
            what: "",
        }
    }

    /// How another one's message calls it.
    fn name(&self) -> String {
        let path = self.path.clone();
        path.unwrap_or_else(|| format!("{}, {}", self.number, self.what))
    }
}

pub(super) fn check(errors: &mut Errors, warnings: &mut Errors, spec: &ClusterSpec) {
    let api = Port::of_service("apiPort", spec.service.api_port);
    let agents = Port::of_service("konnectivityPort", spec.service.konnectivity_port);
    let admin = Port::of_config(
        spec,
        ["konnectivity", "adminPort"],
        8133,
        "the default of spec.k0sConfig.spec.konnectivity.adminPort",
    );
    let health = Port {
        number: 8092,
        path: None,
        what: "where the konnectivity server tells of its health",
    };
    let join = Port::of_config(
        spec,
        ["api", "k0sApiPort"],
        9443,
        "the default of spec.k0sConfig.spec.api.k0sApiPort",
    );
    if k0s_flags::has_konnectivity(spec) {
        for port in [&agents, &admin] {
            if let Some(path) = &port.path
                && ANY.contains(&port.number)
                && !KONNECTIVITY.contains(&port.number)
            {
                errors.invalid(
                    path,
                    port.number,
                    "must be between 1024 and 49151, inclusive: the konnectivity server ends over any other",
                );
            }
        }
        for (one, other) in [
            (&agents, &admin),
            (&agents, &health),
            (&admin, &health),
            (&api, &admin),
            (&api, &health),
        ] {
            if let Some((path, other)) = meet(one, other) {
                errors.invalid(path, one.number, format!("must be different from {other}"));
            }
        }
    }
    // Whoever comes second asks for it again and again, and no worker needs the join API.
    if !k0s_flags::disables(spec, "control-api") {
        for port in [&api, &agents, &admin] {
            if let Some((path, other)) = meet(port, &join) {
                warnings
                    .warning(
                        path,
                        port.number,
                        format!("is also {other}: only one of the two gets it"),
                    )
                    .hint("another k0sApiPort");
            }
        }
    }
}

/// Where two ports are the same: the field to change, and what the other is.
fn meet(one: &Port, other: &Port) -> Option<(String, String)> {
    if one.number != other.number || one.number == 0 {
        return None;
    }
    match (&one.path, &other.path) {
        (Some(path), _) => Some((path.clone(), other.name())),
        (None, Some(path)) => Some((path.clone(), one.name())),
        (None, None) => None,
    }
}
