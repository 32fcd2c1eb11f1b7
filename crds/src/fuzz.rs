//! What users write into objects: versions, quantities, durations.

mod objects;

use std::cmp::Ordering;

use fuzz::text;
use serde_json::json;

use super::quantity::{amount, canonical};
use super::v1beta2::Cluster;
use super::validation::{is_obeyed, parse_go_duration, validate_cluster};
use super::version::{K0sVersion, image};

const VERSIONS: [&str; 8] = [
    "v1.36.3-k0s.2",
    "1.36.3+k0s.2",
    "v1.36.3",
    "v1.36.0-rc.1+k0s.0",
    "v1.36.3+k0s.0-rc1",
    "v1.36.3-k0s.0.dirty",
    "v1.0.0-alpha",
    "v10.20.30+k0s.4294967295",
];
const VERSION_WORDS: &[&str] = &[
    "v",
    "+k0s.",
    "-k0s.",
    "-rc.1",
    "-alpha",
    "+build",
    ".0",
    "01",
    "18446744073709551615",
    "4294967296",
    "-",
    "_",
];

#[test]
fn versions_have_one_order() {
    let three = || text(VERSIONS, VERSION_WORDS);
    fuzz::check!((three(), three(), three()), |texts: &(
        String,
        String,
        String
    )| {
        let parsed = [&texts.0, &texts.1, &texts.2].map(|text| text.parse::<K0sVersion>());
        for version in parsed.iter().flatten() {
            assert_eq!(version.to_string().parse().as_ref(), Ok(version));
            assert_eq!(version.image_tag().parse().as_ref(), Ok(version));
            assert!(!version.is_older_than(version));
        }
        for error in parsed.iter().filter_map(|parsed| parsed.as_ref().err()) {
            assert!(!error.to_string().contains(is_obeyed), "{error}");
        }
        let [Ok(a), Ok(b), Ok(c)] = &parsed else {
            return;
        };
        assert_eq!(a.cmp(b), b.cmp(a).reverse());
        assert_eq!(a.cmp(b) == Ordering::Equal, a == b);
        assert!(a > b || b > c || a <= c, "{a} {b} {c}");
        assert!(!a.is_older_than(b) || a < b);
    });
}

#[test]
fn versions_name_an_image() {
    fuzz::check!(text(VERSIONS, VERSION_WORDS), |version: &str| {
        let cluster: Cluster = serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "a"}, "spec": {"version": version},
        }))
        .unwrap();
        if validate_cluster(&cluster).is_empty() {
            let image = image(&cluster.spec);
            let (_, tag) = image.rsplit_once(':').unwrap();
            assert!((1..=128).contains(&tag.len()), "{image}");
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(tag.chars().all(fits), "{image}");
        }
    });
}

#[test]
fn quantities() {
    let seeds = [
        "1Gi",
        "500m",
        "1000m",
        "0.5",
        "1e3",
        "2E",
        "100n",
        "-1",
        "+1",
        "1.5Ti",
        "999999999999999999",
    ];
    let words = &[
        "Ki",
        "Mi",
        "Ei",
        "k",
        "E",
        "e3",
        "n",
        "u",
        "m",
        ".",
        "-",
        "000000",
        "0.000000000001",
    ];
    fuzz::check!(text(seeds, words), |text: &str| {
        let once = canonical(text);
        assert_eq!(canonical(&once), once, "{text}");
        if once != text {
            let (Some(before), Some(after)) = (amount(text), amount(&once)) else {
                panic!("{text} and {once}: one is no number");
            };
            let rounding = 0.001 + before.abs() * 1e-9;
            assert!((after - before).abs() <= rounding, "{text} is not {once}");
        }
    });
}

#[test]
fn durations() {
    let seeds = [
        "24h",
        "1h30m",
        "1.5h",
        "300ms",
        "0",
        "+1m",
        "2562047h47m16.854775807s",
    ];
    fuzz::check!(
        text(seeds, &["ns", "us", "µs", "h", "m", ".", "+", "9", "-"]),
        |text: &str| {
            match parse_go_duration(text) {
                Ok(duration) => {
                    let nanoseconds = format!("{}ns", duration.as_nanos());
                    assert_eq!(parse_go_duration(&nanoseconds), Ok(duration), "{text}");
                }
                Err(error) => assert!(!error.to_string().contains(is_obeyed), "{error}"),
            }
        }
    );
}
