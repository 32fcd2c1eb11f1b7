//! Asks one hosted API whether it is ready (`/readyz`), and names the checks that fail.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Collected, Limited};
use kube::Client;
use kube::client::Body;
use thiserror::Error;

use super::HostedError;
use super::client::within;

/// How long one question may take, connecting included: an API server that waits for its etcd says so
/// after 2 s.
pub const READYZ_DEADLINE: Duration = Duration::from_millis(2500);

/// How much of `/readyz` is read: its list of checks has about 3 KiB.
const MAX_BODY: usize = 64 * 1024;

/// How many failed checks are named.
const MAX_NAMED: usize = 5;

/// Why a hosted API is not ready, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotReadyReason {
    /// Nothing answers at its address.
    Unreachable,
    /// It does not know us.
    Unknown,
    /// It does not let us ask.
    Unauthorized,
    /// It answers that it is not ready.
    NotReady,
    /// It is not the API that was expected, or does not accept our certificate.
    Tls,
    /// It did not answer in time.
    Timeout,
    /// It cannot be asked: the address, the authority or the certificate cannot be used.
    Invalid,
}

impl NotReadyReason {
    /// The word as it stands in a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Unknown | Self::Unauthorized => "Unauthorized",
            Self::NotReady => "NotReady",
            Self::Tls => "Tls",
            Self::Timeout => "Timeout",
            Self::Invalid => "Invalid",
        }
    }
}

/// Why a hosted API is not ready. The text is the same for the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct NotReady {
    /// In a word.
    pub reason: NotReadyReason,
    /// In a sentence.
    pub message: String,
}

impl From<HostedError> for NotReady {
    fn from(error: HostedError) -> Self {
        let reason = match &error {
            HostedError::Timeout => NotReadyReason::Timeout,
            HostedError::Unreachable(_) => NotReadyReason::Unreachable,
            HostedError::Tls(_) => NotReadyReason::Tls,
            HostedError::Unauthorized { code: 401 } => NotReadyReason::Unknown,
            HostedError::Unauthorized { .. } => NotReadyReason::Unauthorized,
            HostedError::Api { .. } | HostedError::Answer => NotReadyReason::NotReady,
            HostedError::Endpoint(_)
            | HostedError::Client(_)
            | HostedError::Token(_)
            | HostedError::TokenTaken(_) => NotReadyReason::Invalid,
        };
        let mut message = error.to_string();
        if let HostedError::Endpoint(source) = &error {
            message = format!("{message}: {source}");
        }
        Self { reason, message }
    }
}

/// Asks a hosted API once whether it is ready. Takes up to [`READYZ_DEADLINE`]: not for a reconcile,
/// which looks at what [`ReadinessPoller`](super::health::ReadinessPoller) knows.
pub async fn ask_readyz(client: &Client) -> Result<(), NotReady> {
    let request = Request::get("/readyz")
        .body(Body::empty())
        .map_err(kube::Error::HttpError);
    let (status, body) = within(READYZ_DEADLINE, async {
        let answer = client.send(request?).await?;
        let status = answer.status();
        // What the checks say is only a help; without it the status still counts.
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        Ok((status, body.map(Collected::to_bytes).unwrap_or_default()))
    })
    .await?;
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(HostedError::Unauthorized {
            code: status.as_u16(),
        }
        .into()),
        status => Err(NotReady {
            reason: NotReadyReason::NotReady,
            message: describe(status, &String::from_utf8_lossy(&body)),
        }),
    }
}

/// Names the checks that failed: lines such as `[-]etcd failed: reason withheld`.
///
/// The text is the hosted cluster's own, so only what looks like a check's name is taken over.
fn describe(status: StatusCode, body: &str) -> String {
    let failed: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .filter_map(|line| line.split(' ').next())
        .filter(|name| {
            (1..=64).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        })
        .collect();
    let code = status.as_u16();
    if failed.is_empty() {
        return format!("hosted API answered /readyz with status {code}");
    }
    let named = failed.get(..MAX_NAMED).unwrap_or(&failed).join(", ");
    let more = match failed.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("hosted API is not ready: {named}{more} failed")
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
