//! The request for a token, and the wait for it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::{names, version::K0sVersion};
use kube::{
    ResourceExt as _,
    api::{DynamicObject, PostParams},
};
use serde_json::json;

use super::{JoinToken, TokenArgs};
use crate::{
    cli,
    client::{Connection, FIELD_MANAGER},
    duration,
    error::Error,
    model, resources,
    session::Session,
    wait::{Look, Wait},
};

/// The command that takes a token back.
pub fn revoke(session: &Session, request: &str, namespace: &str) -> String {
    session.kubectl(&format!("k0smotron token revoke {request}"), namespace)
}

/// Asks for a token; the name of the request is returned.
///
/// # Errors
/// Whatever the API server answers.
pub async fn ask(
    session: &Session,
    connection: &Connection<'_>,
    args: &TokenArgs,
) -> Result<String, Error> {
    let place = &connection.namespace;
    let metadata = match &args.name {
        Some(name) => json!({"name": name, "namespace": place}),
        None => json!({
            "generateName": format!("{}-{}-", args.cluster, args.role.name()),
            "namespace": place,
        }),
    };
    let body = json!({
        "apiVersion": format!("{}/{}", resources::GROUP, resources::VERSION),
        "kind": "JoinTokenRequest",
        "metadata": metadata,
        "spec": {
            "clusterName": args.cluster,
            "role": args.role.name(),
            "expiry": duration::to_go(args.ttl()),
        },
    });
    let object: DynamicObject = serde_json::from_value(body)
        .map_err(|source| Error::io("build the request", source.into()))?;
    let api = connection.api(&resources::join_token_requests());
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    session.leaves(
        "a join token may have been asked for",
        vec![format!(
            "look: {}",
            session.kubectl("k0smotron token list", place)
        )],
    );
    let attempt = format!("ask for a join token for cluster {place}/{}", args.cluster);
    let created = connection
        .call(&attempt, || api.create(&parameters, &object))
        .await;
    let name = created
        .map_err(|error| taken(error, session, args, place))?
        .name_any();
    session.leaves(
        format!("JoinTokenRequest {place}/{name} was created and its token will be made"),
        vec![
            format!(
                "read the token later: {}",
                session.kubectl(
                    &format!(
                        "get secret {name} -o go-template='{{{{.data.token | base64decode}}}}'"
                    ),
                    place
                )
            ),
            format!("take it back: {}", revoke(session, &name, place)),
        ],
    );
    Ok(name)
}

fn taken(error: Error, session: &Session, args: &TokenArgs, namespace: &str) -> Error {
    match (error, &args.name) {
        (
            Error::Conflict {
                attempt, answer, ..
            },
            Some(name),
        ) => Error::Conflict {
            attempt,
            answer,
            hint: format!(
                "leave --name out, or revoke the one that is there: {}",
                revoke(session, name, namespace)
            ),
        },
        (error, _) => error,
    }
}

/// Waits for the token that was asked for.
///
/// # Errors
/// [`Error::TimedOut`] when none comes.
pub async fn answer(
    session: &Session,
    connection: &Connection<'_>,
    args: &TokenArgs,
    cluster: &DynamicObject,
    name: &str,
) -> Result<JoinToken, Error> {
    let place = &connection.namespace;
    let requests = connection.api(&resources::join_token_requests());
    let secrets = connection.api(&resources::secrets());
    let what = format!("a join token for cluster {place}/{}", args.cluster);
    let wait = Wait {
        what: &what,
        timeout: cli::timeout(args.timeout()),
        interval: Duration::from_millis(300),
    };
    let get_request = format!("get JoinTokenRequest {place}/{name}");
    let get_secret = format!("read the token in Secret {place}/{name}");
    wait.until(session, async || {
        let request = connection.call(&get_request, || requests.get(name)).await?;
        let Some(token_id) = model::text(&request, "/status/tokenID") else {
            return Ok(Look::Pending(waits_for(&request, cluster)));
        };
        let secret = match connection.call(&get_secret, || secrets.get(name)).await {
            Err(error) if error.is_not_found() => {
                return Ok(Look::Pending(waits_for(&request, cluster)));
            }
            other => other?,
        };
        let Some(token) = token_in(&secret) else {
            return Ok(Look::Pending(format!(
                "the Secret {name} has no key token yet"
            )));
        };
        Ok(Look::Done(JoinToken {
            request: name.to_owned(),
            namespace: place.clone(),
            cluster: args.cluster.clone(),
            role: args.role,
            token_id: Some(token_id),
            expires_at: model::text(&request, "/status/expiresAt")
                .or_else(|| expiry_of(args.ttl())),
            version: version_of(cluster),
            token,
        }))
    })
    .await
}

/// The controller's own words, else what is known of the cluster.
fn waits_for(request: &DynamicObject, cluster: &DynamicObject) -> String {
    let told = model::conditions(request)
        .into_iter()
        .find(|condition| !condition.is_true());
    if let Some(condition) = told {
        return condition.summary();
    }
    match model::obstacle(cluster) {
        Some(obstacle) => format!("the cluster is not available yet: {obstacle}"),
        None => "the controller makes the token".to_owned(),
    }
}

fn expiry_of(ttl: Duration) -> Option<String> {
    if ttl.is_zero() {
        return None;
    }
    let until = jiff::Timestamp::now().checked_add(ttl).ok()?;
    Some(until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The token, if the Secret has one that can be passed on as it is.
fn token_in(secret: &DynamicObject) -> Option<String> {
    let pointer = format!("/data/{}", names::TOKEN_KEY);
    let bytes = STANDARD.decode(model::text(secret, &pointer)?).ok()?;
    let token = String::from_utf8(bytes).ok()?.trim().to_owned();
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    (!token.is_empty() && token.chars().all(base64)).then_some(token)
}

/// The version that runs, in k0s' own form; `None` for one that k0s' installer would not know.
pub fn version_of(cluster: &DynamicObject) -> Option<String> {
    let version = model::text(cluster, "/status/version")
        .or_else(|| model::text(cluster, "/spec/version"))?;
    version
        .parse::<K0sVersion>()
        .ok()
        .map(|version| version.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{cluster, object};

    fn secret(token: &str) -> DynamicObject {
        let data = json!({"token": STANDARD.encode(token)});
        object(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": data}))
    }

    #[test]
    fn only_a_token_that_ends_no_shell_word_is_passed_on() {
        assert_eq!(token_in(&secret("H4sI+/8=\n")).unwrap(), "H4sI+/8=");
        for bad in ["", "$(reboot)", "a' 'b", "a b"] {
            assert_eq!(token_in(&secret(bad)), None, "{bad}");
        }
    }

    #[test]
    fn versions_are_written_as_k0s_writes_them() {
        assert_eq!(version_of(&cluster(json!({}))).unwrap(), "v1.36.3+k0s.2");
        let odd = cluster(json!({"version": "v1.36.3;reboot"}));
        assert_eq!(version_of(&odd), None);
    }

    #[test]
    fn a_token_that_is_late_is_explained() {
        let request = object(json!({"metadata": {"name": "r"}}));
        let waiting = json!({"type": "Available", "status": "False", "reason": "EtcdNotReady",
            "message": "0 of 1 members are ready"});
        let waiting = cluster(json!({"conditions": [waiting]}));
        insta::assert_snapshot!(waits_for(&request, &waiting), @"the cluster is not available yet: EtcdNotReady: 0 of 1 members are ready");
    }
}
