//! Quantities of resources, as Kubernetes writes them.

use std::cmp::Ordering;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Errors, texts};
use crate::quantity::amount;

pub(super) fn volume_size(errors: &mut Errors, path: &str, size: &Quantity) {
    match amount(&size.0) {
        None => {
            errors.invalid(path, &size.0, texts::QUANTITY);
        }
        Some(amount) if amount <= 0.0 => {
            errors.invalid(path, &size.0, "must be greater than zero");
        }
        Some(_) => {}
    }
}

pub(super) fn resources(errors: &mut Errors, path: &str, resources: &ResourceRequirements) {
    let named = [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ];
    for (kind, quantities) in named {
        for (resource, quantity) in quantities.iter().flatten() {
            match amount(&quantity.0) {
                None => {
                    errors.invalid(
                        format!("{path}.{kind}.{resource}"),
                        &quantity.0,
                        texts::QUANTITY,
                    );
                }
                Some(amount) if amount < 0.0 => {
                    errors.invalid(
                        format!("{path}.{kind}.{resource}"),
                        &quantity.0,
                        texts::NOT_NEGATIVE,
                    );
                }
                Some(_) => {}
            }
        }
    }
    for (resource, request) in resources.requests.iter().flatten() {
        let limit = resources
            .limits
            .as_ref()
            .and_then(|limits| limits.get(resource));
        let Some(limit) = limit else {
            continue;
        };
        let order = amount(&request.0).partial_cmp(&amount(&limit.0));
        if amount(&limit.0).is_some() && order == Some(Ordering::Greater) {
            errors.invalid(
                format!("{path}.requests.{resource}"),
                &request.0,
                format!(
                    "must be less than or equal to {resource} limit of {}",
                    limit.0
                ),
            );
        }
    }
}

/// Whether both are quantities and the first is the smaller one.
pub(super) fn is_less(one: &Quantity, other: &Quantity) -> bool {
    matches!((amount(&one.0), amount(&other.0)), (Some(one), Some(other)) if one < other)
}
