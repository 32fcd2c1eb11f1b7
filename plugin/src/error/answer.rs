//! What the API server, or the way to it, answered: from kube's errors to ours.

use kube::core::Status;

use super::Error;

impl Error {
    /// What the API server (or the way to it) answered to `attempt`, a phrase like
    /// `list clusters in namespace "default"`.
    pub fn from_kube(attempt: &str, server: &str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(attempt, server, &status),
            kube::Error::SerdeError(source) => Self::Server {
                attempt: attempt.to_owned(),
                answer: format!("the answer of {server} makes no sense: {source}"),
                passing: false,
            },
            other => match find::<Self>(&other) {
                // The credential plugin, asked once more.
                Some(error) => Self::Unauthorized {
                    attempt: attempt.to_owned(),
                    answer: error.to_string(),
                },
                None => Self::Unreachable {
                    server: server.to_owned(),
                    cause: innermost(&other),
                },
            },
        }
    }

    fn from_status(attempt: &str, server: &str, status: &Status) -> Self {
        let attempt = attempt.to_owned();
        let answer = one_line(&status.message);
        let details = status.details.as_ref();
        let named = details.is_some_and(|details| !details.name.is_empty());
        match status.code {
            401 => Self::Unauthorized { attempt, answer },
            404 if named => {
                let namespace = details.is_some_and(|details| details.kind == "namespaces");
                let hint = if namespace {
                    "create it (kubectl create namespace), or choose another with -n"
                } else {
                    "see what is there: kubectl k0smotron list -A"
                };
                Self::NotFound {
                    attempt,
                    answer,
                    hint: hint.to_owned(),
                }
            }
            404 => Self::NotInstalled {
                attempt,
                server: server.to_owned(),
            },
            409 => Self::Conflict {
                attempt,
                answer,
                hint: "choose another name, or look at the one that is there: \
                       kubectl k0smotron status"
                    .to_owned(),
            },
            400 | 422 => Self::refused(attempt, status),
            403 if status.message.contains("denied the request") => Self::refused(attempt, status),
            403 => Self::Forbidden { attempt, answer },
            code => {
                let passing = code == 429 || code >= 500;
                Self::Server {
                    attempt,
                    answer: format!("{answer} (HTTP {code})"),
                    passing,
                }
            }
        }
    }

    fn refused(attempt: String, status: &Status) -> Self {
        let details = status.details.as_ref();
        let mut causes: Vec<String> = details
            .into_iter()
            .flat_map(|details| &details.causes)
            .map(|cause| match cause.field.as_str() {
                "" | "<nil>" => one_line(&cause.message),
                field => one_line(&format!("{field}: {}", cause.message)),
            })
            .collect();
        if causes.is_empty() {
            causes.push(one_line(&status.message));
        }
        Self::Refused {
            attempt,
            causes,
            hint: "correct the values and try again; kubectl explain cluster.spec \
                   --api-version=k0smotron.io/v1beta2 tells what each field takes"
                .to_owned(),
        }
    }
}

/// The first error of type `T` in the chain of causes.
fn find<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// The deepest cause: what a person can act upon, without the layers that passed it on.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    let text = one_line(&current.to_string());
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Messages of servers with their line ends taken out.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
