//! Conditions as Kubernetes' API conventions have them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The longest message that the schema of conditions allows, in characters.
pub const MAX_MESSAGE: usize = 32_768;

/// What a condition says, before it has a time.
#[derive(Clone, Debug)]
pub struct Said<'a> {
    /// Its type.
    pub type_: &'a str,
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    /// The reason, in one word.
    pub reason: &'a str,
    /// The message; cut at [`MAX_MESSAGE`].
    pub message: &'a str,
    /// The generation of the object that it is about.
    pub generation: Option<i64>,
}

/// A condition with its time, which moves only when its status is another than in `old`.
pub fn since(old: &[Condition], said: &Said<'_>, now: Timestamp) -> Condition {
    let same = old
        .iter()
        .find(|old| old.type_ == said.type_ && old.status == said.status);
    Condition {
        type_: said.type_.to_owned(),
        status: said.status.to_owned(),
        reason: said.reason.to_owned(),
        message: said.message.chars().take(MAX_MESSAGE).collect(),
        last_transition_time: same.map_or_else(
            // The API server keeps whole seconds.
            || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
            |same| same.last_transition_time.clone(),
        ),
        observed_generation: said.generation,
    }
}

/// The same text for the same cause: each write of a status wakes its object at once, and one with
/// a port of the moment in it (`read tcp 10.0.0.7:41312->10.0.0.9:443`) would never end.
pub fn steady(message: &str) -> String {
    let words = message.split(' ').map(|word| word.rsplit("->").next());
    let words: Vec<_> = words.flatten().collect();
    words.join(" ").chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_in_the_same_words_each_time() {
        let said = |port: u16| {
            steady(&format!(
                "Post: read tcp 10.0.0.7:{port}->10.0.0.9:443: reset"
            ))
        };
        assert_eq!(said(41312), "Post: read tcp 10.0.0.9:443: reset");
        assert_eq!(said(41312), said(41313));
        assert_eq!(steady("nothing  to\ndo"), "nothing  to\ndo");
        assert_eq!(steady(&"x".repeat(40_000)).len(), 32_768);
    }

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn said<'a>(status: &'a str, reason: &'a str) -> Said<'a> {
        Said {
            type_: "Ready",
            status,
            reason,
            message: "x",
            generation: Some(2),
        }
    }

    #[test]
    fn the_time_moves_with_the_status_and_nothing_else() {
        let first = since(&[], &said("False", "A"), at(1500));
        assert_eq!(first.last_transition_time.0, at(1000));
        let old = [first];
        let same = since(&old, &said("False", "B"), at(9000));
        assert_eq!(
            (same.reason.as_str(), same.last_transition_time.0),
            ("B", at(1000))
        );
        let flipped = since(&old, &said("True", "B"), at(9000));
        assert_eq!(flipped.last_transition_time.0, at(9000));
    }

    #[test]
    fn a_message_is_no_longer_than_the_schema_allows() {
        let long = "é".repeat(MAX_MESSAGE + 1);
        let said = Said {
            message: &long,
            ..said("True", "A")
        };
        let found = since(&[], &said, at(0));
        assert_eq!(found.message.chars().count(), MAX_MESSAGE);
    }
}
