//! Quantities of resources: as numbers, and in the API server's canonical form, `1` and not `1000m`.
//! Written otherwise they would look changed each time they are read back.
//!
//! `kube_quantity` neither writes that form (`1000m` stays) nor reads `1Ei`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const DECIMAL: [(&str, u32); 6] = [
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
];
const BINARY: [(&str, u32); 6] = [
    ("Ei", 60),
    ("Pi", 50),
    ("Ti", 40),
    ("Gi", 30),
    ("Mi", 20),
    ("Ki", 10),
];

/// Requests and limits with canonical quantities.
pub fn canonical_resources(mut resources: ResourceRequirements) -> ResourceRequirements {
    let each = |map: &mut Option<BTreeMap<String, Quantity>>| {
        for quantity in map.iter_mut().flat_map(BTreeMap::values_mut) {
            quantity.0 = canonical(&quantity.0);
        }
    };
    each(&mut resources.requests);
    each(&mut resources.limits);
    resources
}

/// A user's volume with canonical quantities.
pub fn canonical_volume(mut volume: Volume) -> Volume {
    let limit = volume
        .empty_dir
        .as_mut()
        .and_then(|dir| dir.size_limit.as_mut());
    let claim = volume.ephemeral.as_mut().and_then(|ephemeral| {
        let resources = ephemeral
            .volume_claim_template
            .as_mut()?
            .spec
            .resources
            .as_mut()?;
        resources.requests.as_mut()
    });
    let requests = claim.into_iter().flat_map(BTreeMap::values_mut);
    for quantity in limit.into_iter().chain(requests) {
        quantity.0 = canonical(&quantity.0);
    }
    volume
}

/// The canonical form; what does not parse stays, for the API server to refuse.
pub fn canonical(text: &str) -> String {
    parse(text).map_or_else(|| text.to_owned(), |(milli, binary)| format(milli, binary))
}

/// Thousandths, and whether the suffix was a power of two.
fn parse(text: &str) -> Option<(i128, bool)> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+'));
    let (number, suffix) = text.split_at(split.unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Beyond 12 digits the rounding rules would matter; nobody asks for a trillionth of a core.
    if fraction.len() > 12 || whole.len() > 18 {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let (factor, binary) = match suffix {
        "" => (1000, false),
        "m" => (1, false),
        _ => {
            if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
                (1000 * (1_i128 << power), true)
            } else {
                let (_, power) = DECIMAL.iter().find(|(name, _)| *name == suffix)?;
                (1000 * 10_i128.pow(*power), false)
            }
        }
    };
    let value = digits.checked_mul(factor)?;
    // The API server rounds up what is finer than a thousandth.
    Some((
        value.div_euclid(scale) + i128::from(value.rem_euclid(scale) != 0),
        binary,
    ))
}

fn format(milli: i128, binary: bool) -> String {
    if milli == 0 {
        return "0".to_owned();
    }
    if milli % 1000 != 0 {
        return format!("{milli}m");
    }
    let value = milli / 1000;
    let units: Vec<(&str, i128)> = if binary {
        BINARY
            .iter()
            .map(|(name, power)| (*name, 1_i128 << power))
            .collect()
    } else {
        DECIMAL
            .iter()
            .map(|(name, power)| (*name, 10_i128.pow(*power)))
            .collect()
    };
    units
        .into_iter()
        .find(|(_, unit)| value % unit == 0)
        .map_or_else(
            || value.to_string(),
            |(name, unit)| format!("{}{name}", value / unit),
        )
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

    use super::*;

    #[rstest]
    #[case("1000m", "1")]
    #[case("0.5", "500m")]
    #[case("1500m", "1500m")]
    #[case("100Mi", "100Mi")]
    #[case("1024Mi", "1Gi")]
    #[case("0.5Gi", "512Mi")]
    #[case("1000M", "1G")]
    #[case("1Gi", "1Gi")]
    #[case("0", "0")]
    #[case("nonsense", "nonsense")]
    #[case(".+11", ".+11")]
    fn canonical_form(#[case] written: &str, #[case] kept: &str) {
        assert_eq!(canonical(written), kept);
    }

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
