//! Quantities of resources, as Kubernetes writes them.

use std::cmp::Ordering;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Errors;

pub(super) fn volume_size(errors: &mut Errors, path: &str, size: &Quantity) {
    match amount(&size.0) {
        None => errors.add(path, &size.0, "is no quantity", "such as 1Gi or 500M"),
        Some(amount) if amount <= 0.0 => errors.add(path, &size.0, "must be more than 0", ""),
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
                None => errors.add(
                    format!("{path}.{kind}.{resource}"),
                    &quantity.0,
                    "is no quantity",
                    "such as 500m or 1Gi",
                ),
                Some(amount) if amount < 0.0 => {
                    errors.add(
                        format!("{path}.{kind}.{resource}"),
                        &quantity.0,
                        "must not be negative",
                        "",
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
            errors.add(
                format!("{path}.requests.{resource}"),
                &request.0,
                format!("is more than the limit of {}", limit.0),
                "",
            );
        }
    }
}

/// Whether both are quantities and the first is the smaller one.
pub(super) fn is_less(one: &Quantity, other: &Quantity) -> bool {
    matches!((amount(&one.0), amount(&other.0)), (Some(one), Some(other)) if one < other)
}

/// The quantity as a number; its rounding errors are far below what a person means to tell apart.
/// `None` for what is no quantity.
pub fn amount(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let number = |text: &str| {
        let numeric = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        text.chars()
            .all(numeric)
            .then(|| text.parse::<f64>().ok())
            .flatten()
    };
    SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some(number(text.strip_suffix(suffix)?)? * factor))
        .or_else(|| number(text))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::amount;

    #[rstest]
    #[case("1", Some(1.0))]
    #[case("500m", Some(0.5))]
    #[case("1Gi", Some(1_073_741_824.0))]
    #[case("1e3", Some(1000.0))]
    #[case("2E", Some(2e18))]
    #[case("-1", Some(-1.0))]
    #[case(".5", Some(0.5))]
    #[case("1Go", None)]
    #[case("", None)]
    #[case("inf", None)]
    fn reads_quantities(#[case] text: &str, #[case] wanted: Option<f64>) {
        assert_eq!(amount(text), wanted);
    }
}
