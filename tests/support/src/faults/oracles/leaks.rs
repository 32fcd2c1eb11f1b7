//! Nothing secret is where it must not be.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Finding, Kind};
use crate::faults::history::Change;
use crate::light::children::at;

/// What must be nowhere but in its Secret.
fn needles(changes: &[Change]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for change in changes.iter().filter(|change| change.kind == "Secret") {
        let data = at(&change.object, "/data").as_object();
        for (key, value) in data.into_iter().flatten() {
            let encoded = value.as_str().unwrap_or_default();
            let decoded = STANDARD.decode(encoded).unwrap_or_default();
            let decoded = String::from_utf8_lossy(&decoded);
            let whose = format!("{} of Secret {}", key, change.name);
            let secret = decoded.contains("PRIVATE KEY")
                || decoded.contains("client-key-data")
                || key == "token";
            if !secret {
                continue;
            }
            // A line out of the middle, for what is written in lines; a piece of it encoded.
            let lines: Vec<_> = decoded.lines().filter(|line| line.len() >= 40).collect();
            let middle = if decoded.contains("client-key-data") {
                lines
                    .iter()
                    .find_map(|line| line.split_once("client-key-data:"))
                    .map(|(_, key)| key.trim())
            } else {
                lines.get(lines.len() / 2).copied()
            };
            let piece = |text: &str| text.get(8..40).map(str::to_owned);
            let pieces = [
                middle.and_then(piece),
                encoded.get(120..160).map(str::to_owned),
            ];
            for needle in pieces.into_iter().flatten() {
                all.insert(needle, whose.clone());
            }
        }
    }
    all
}

/// What is found in a log, or in anything that is no Secret: what Secrets hold, and the secret halves of
/// tokens.
pub fn leaks(changes: &[Change], log: &str, tokens: &[String]) -> Vec<Finding> {
    let mut needles = needles(changes);
    let halves = tokens.iter().cloned();
    needles.extend(halves.map(|half| (half, "the secret of a token".to_owned())));
    let mut all: BTreeSet<(String, String)> = BTreeSet::new();
    let mut look = |place: &str, text: &str| {
        for (needle, whose) in &needles {
            if text.contains(needle.as_str()) {
                all.insert((whose.clone(), place.to_owned()));
            }
        }
    };
    look("the log", log);
    for change in changes.iter().filter(|change| change.kind != "Secret") {
        look(
            &format!("{} {}", change.kind, change.name),
            &change.object.to_string(),
        );
    }
    all.into_iter()
        .map(|(whose, place)| Finding::new(Kind::Leak, format!("{whose} is in {place}")))
        .collect()
}
