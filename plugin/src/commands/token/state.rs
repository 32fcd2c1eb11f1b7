//! What a request for a token is at.

use jiff::Timestamp;
use kube::api::DynamicObject;

use crate::mothership::view;
use crate::output::Style;

/// What a token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Valid,
    Expired,
    Pending,
    /// It is not made before somebody changes something.
    Invalid,
    Revoking,
}

impl State {
    /// What the request says of itself, at this moment.
    pub fn from_request(request: &DynamicObject, now: Timestamp) -> Self {
        let created = view::condition(request, "JoinTokenSecretCreated");
        let reason = created.as_ref().map_or("", |found| found.reason.as_str());
        let ended = view::text(request, "/status/expiresAt")
            .and_then(|at| at.parse::<Timestamp>().ok())
            .is_some_and(|at| at <= now);
        if request.metadata.deletion_timestamp.is_some() {
            Self::Revoking
        } else if ended || reason == "Expired" {
            Self::Expired
        } else if matches!(
            reason,
            "Invalid" | "NotImplemented" | "NameTaken" | "ClusterNotFound"
        ) {
            Self::Invalid
        } else if created.is_some_and(|found| found.is_true()) {
            Self::Valid
        } else {
            Self::Pending
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Invalid => "invalid",
            Self::Revoking => "revoking",
        }
    }

    /// How it is shown.
    pub const fn style(self) -> Style {
        match self {
            Self::Valid => Style::Good,
            Self::Expired => Style::Dim,
            Self::Pending | Self::Revoking => Style::Waiting,
            Self::Invalid => Style::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mothership::view::tests::object;

    fn state(status: &str, reason: &str, expires: &Value) -> State {
        let condition = json!({"type": "JoinTokenSecretCreated", "status": status,
            "reason": reason, "message": ""});
        let request = object(json!({"metadata": {"name": "r"},
            "status": {"expiresAt": expires, "conditions": [condition]}}));
        State::from_request(&request, "2026-11-22T10:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_token_is_valid_until_the_second_in_which_it_ends() {
        assert_eq!(state("True", "Created", &Value::Null), State::Valid);
        let at = |time: &str| state("True", "Created", &json!(time));
        assert_eq!(at("2026-11-22T10:00:01Z"), State::Valid);
        assert_eq!(at("2026-11-22T10:00:00Z"), State::Expired);
    }

    #[test]
    fn what_passes_by_itself_is_pending_and_what_does_not_is_invalid() {
        for reason in ["ClusterNotReady", "HostedUnreachable", "ClusterDeleting"] {
            assert_eq!(state("False", reason, &Value::Null), State::Pending);
        }
        for reason in ["Invalid", "NotImplemented", "NameTaken", "ClusterNotFound"] {
            assert_eq!(state("False", reason, &Value::Null), State::Invalid);
        }
        assert_eq!(state("False", "Expired", &Value::Null), State::Expired);
    }
}
