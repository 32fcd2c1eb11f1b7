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
            kube::Error::Auth(source) => Self::from_auth(attempt, &source),
            kube::Error::ProxyProtocolUnsupported { proxy_url }
            | kube::Error::ProxyProtocolDisabled { proxy_url, .. } => Self::Kubeconfig {
                message: format!("the proxy {proxy_url} speaks a protocol that is not supported"),
                hint: "use an http:// proxy, or reach the API server without one".to_owned(),
            },
            other => {
                if let Some(source) = find::<kube::client::AuthError>(&other) {
                    return Self::from_auth(attempt, source);
                }
                Self::Unreachable {
                    server: server.to_owned(),
                    cause: innermost(&other),
                }
            }
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

    /// What the credentials of the kubeconfig, or the program that brings them, came to.
    pub fn from_auth(attempt: &str, error: &kube::client::AuthError) -> Self {
        use kube::client::AuthError;
        match error {
            AuthError::AuthExecRun { cmd, out } => {
                let said = String::from_utf8_lossy(&out.stderr);
                let last = said.lines().rev().find(|line| !line.trim().is_empty());
                let program = program(cmd);
                Self::Unauthorized {
                    attempt: attempt.to_owned(),
                    answer: format!(
                        "the credential plugin {program} failed ({}){}",
                        out.status,
                        last.map(|line| format!(": {}", line.trim()))
                            .unwrap_or_default()
                    ),
                }
            }
            AuthError::AuthExecStart(source) => Self::Kubeconfig {
                message: format!(
                    "the credential plugin of the kubeconfig cannot be started: {source}"
                ),
                hint: "install the program that users[].user.exec.command names, or use another \
                       --context"
                    .to_owned(),
            },
            other => Self::Kubeconfig {
                message: format!(
                    "the kubeconfig's credentials cannot be used: {}",
                    innermost(other)
                ),
                hint: "log in again, or use another --context".to_owned(),
            },
        }
    }
}

/// The program in a command as Rust shows one: variables, then each word in quotes.
pub(super) fn program(command: &str) -> &str {
    let start = if command.starts_with('"') {
        Some(1)
    } else {
        command.find(" \"").map(|at| at + 2)
    };
    let rest = start
        .and_then(|start| command.get(start..))
        .unwrap_or(command);
    rest.split('"').next().unwrap_or(rest)
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
