//! The request for a token, and the wait for it.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::names;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use pki::token::TokenId;
use serde_json::json;

use super::{JoinToken, Role, TokenArgs, how_to_revoke, version_of};
use crate::error::Error;
use crate::kubeconfig::merge::{Entry, Problem};
use crate::mothership::client::{Connection, Submission};
use crate::mothership::{resources, view};
use crate::session::Session;
use crate::wait::{Look, Wait};
use crate::{duration, flags};

/// The most that is unpacked of a token; a real one has a few KiB, and a small text can unpack to
/// gigabytes.
const UNPACKED: u64 = 1024 * 1024;

/// Asks for a token and waits for it.
///
/// # Errors
/// [`Error::TimedOut`] when none comes.
pub async fn obtain(
    session: &Session,
    connection: &Connection<'_>,
    args: &TokenArgs,
    cluster: &DynamicObject,
) -> Result<JoinToken, Error> {
    let name = name_for(args)?;
    let asked = match ask(session, connection, args, &name).await {
        Ok(asked) => asked,
        Err(error) => {
            if is_perhaps_made(&error) {
                tell_perhaps(session, connection, args, &name);
            }
            return Err(error);
        }
    };
    let answered = answer(session, connection, args, cluster, &asked).await;
    if let Err(error) = &answered {
        tell_asked(session, connection, &name, error);
    }
    answered
}

/// Says how to take back what was asked for, unless the error does.
pub fn tell_asked(session: &Session, connection: &Connection<'_>, name: &str, error: &Error) {
    let how = how_to_revoke(session, name, &connection.namespace);
    if !error.hints().iter().any(|hint| hint.contains(&how)) {
        session
            .out
            .note(&format!("a join token was asked for; take it back: {how}"));
    }
}

/// What is known while the API server has not answered.
const PERHAPS: &str = "a join token may have been asked for";

/// Whether what was asked for may be there all the same.
pub const fn is_perhaps_made(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. } | Error::Server { .. })
}

/// Says so.
pub fn tell_perhaps(session: &Session, connection: &Connection<'_>, args: &TokenArgs, name: &str) {
    let hint = perhaps(session, args, name, &connection.namespace);
    session.out.note(&format!("{PERHAPS}; {hint}"));
}

/// How to deal with it: another one of a name that was chosen may have been there before.
fn perhaps(session: &Session, args: &TokenArgs, name: &str, place: &str) -> String {
    match args.name {
        Some(_) => {
            let list = session.kubectl("k0smotron token list", place);
            format!("look: {list}")
        }
        None => format!("take it back: {}", how_to_revoke(session, name, place)),
    }
}

/// The name of a request. It is known before the request is made, so that what an interrupt or a
/// lost answer leaves behind can be named and taken back.
pub fn name_for(args: &TokenArgs) -> Result<String, Error> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let end = TokenId::random()
        .map_err(|source| Error::io("make up a name", std::io::Error::other(source)))?;
    Ok(format!("{}-{}-{end}", args.cluster, args.role.name()))
}

/// Asks for a token, by a request of this name. Its uid tells it from others that come to have the
/// name; it has none where it is not known which one was made.
pub async fn ask(
    session: &Session,
    connection: &Connection<'_>,
    args: &TokenArgs,
    name: &str,
) -> Result<DynamicObject, Error> {
    let place = &connection.namespace;
    let body = json!({
        "apiVersion": format!("{}/{}", resources::GROUP, resources::VERSION),
        "kind": "JoinTokenRequest",
        "metadata": {"name": name, "namespace": place},
        "spec": {
            "clusterName": args.cluster,
            "role": args.role.name(),
            "expiry": duration::to_go(args.ttl()),
        },
    });
    let object: DynamicObject = serde_json::from_value(body)
        .map_err(|source| Error::io("build the request", source.into()))?;
    let kind = resources::join_token_requests();
    session.leaves(PERHAPS, vec![perhaps(session, args, name, place)]);
    let attempt = format!("ask for a join token for cluster {place}/{}", args.cluster);
    let asked = if args.name.is_some() {
        let asked = connection.submit(&attempt, &kind, &object, Submission::Create);
        asked.await.map(Some)
    } else {
        let api = connection.api(&kind);
        connection.create(&attempt, &api, &object).await
    };
    let asked = asked.map_err(|error| taken(error, session, args, place))?;
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
            format!("take it back: {}", how_to_revoke(session, name, place)),
        ],
    );
    Ok(asked.unwrap_or(object))
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
                how_to_revoke(session, name, namespace)
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
    asked: &DynamicObject,
) -> Result<JoinToken, Error> {
    let place = &connection.namespace;
    let (name, uid) = (&asked.name_any(), &asked.metadata.uid);
    let requests = connection.api(&resources::join_token_requests());
    let secrets = connection.api(&resources::secrets());
    let what = format!("a join token for cluster {place}/{}", args.cluster);
    let wait = Wait {
        what: &what,
        timeout: flags::timeout(args.timeout()),
        interval: Duration::from_millis(300),
    };
    let get_request = format!("get JoinTokenRequest {place}/{name}");
    let get_secret = format!("read the token in Secret {place}/{name}");
    wait.until(session, async || {
        let request = connection.call(&get_request, || requests.get(name)).await?;
        if uid.is_some() && request.metadata.uid != *uid {
            return Err(Error::Conflict {
                attempt: format!("wait for {what}"),
                answer: format!(
                    "JoinTokenRequest {place}/{name} was deleted, and another has its name"
                ),
                hint: "ask for another token, by another name".to_owned(),
            });
        }
        let Some(token_id) = view::text(&request, "/status/tokenID") else {
            return Ok(Look::Pending(waits_for(&request, cluster)));
        };
        let secret = match connection.call(&get_secret, || secrets.get(name)).await {
            Err(error) if error.is_not_found() => {
                return Ok(Look::Pending(waits_for(&request, cluster)));
            }
            other => other?,
        };
        let Some(token) = view::text(&secret, &format!("/data/{}", names::TOKEN_KEY)) else {
            return Ok(Look::Pending(format!(
                "the Secret {name} has no key token yet"
            )));
        };
        let token = anew(&token, args.role).map_err(|problem| Error::Kubeconfig {
            message: format!("the token in Secret {place}/{name} cannot be used: {problem}"),
            hint: format!(
                "who may write Secrets in namespace {place} may have changed it; take it back and \
                 ask for another: {}",
                how_to_revoke(session, name, place)
            ),
        })?;
        Ok(Look::Done(JoinToken {
            request: name.to_owned(),
            namespace: place.clone(),
            cluster: args.cluster.clone(),
            role: args.role,
            // Who may write the status may write anything there.
            token_id: Some(token_id).filter(|id| id.parse::<TokenId>().is_ok()),
            expires_at: view::text(&request, "/status/expiresAt")
                .and_then(|until| until.parse().ok())
                .or_else(|| expiry_of(args.ttl()))
                .map(|until: Timestamp| until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            version: version_of(cluster),
            token,
        }))
    })
    .await
}

/// The controller's own words, else what is known of the cluster.
fn waits_for(request: &DynamicObject, cluster: &DynamicObject) -> String {
    let told = view::conditions(request)
        .into_iter()
        .find(|condition| !condition.is_true());
    if let Some(condition) = told {
        return condition.summary();
    }
    match view::obstacle(cluster) {
        Some(obstacle) => format!("the cluster is not available yet: {obstacle}"),
        None => "the controller makes the token".to_owned(),
    }
}

fn expiry_of(ttl: Duration) -> Option<Timestamp> {
    if ttl.is_zero() {
        return None;
    }
    Timestamp::now().checked_add(ttl).ok()
}

/// The token that a Secret has, packed anew: it is a kubeconfig, which the machine's root uses. Its
/// names are those that k0s looks for: what else they could be is read by more than one program.
fn anew(encoded: &str, role: Role) -> Result<String, Problem> {
    let unusable = || Problem::Unusable("it must be a packed kubeconfig".to_owned());
    let decode = |bytes: &[u8]| STANDARD.decode(bytes.trim_ascii()).map_err(|_| unusable());
    let packed = decode(&decode(encoded.as_bytes())?)?;
    let mut text = String::new();
    GzDecoder::new(packed.as_slice())
        .take(UNPACKED)
        .read_to_string(&mut text)
        .map_err(|_| unusable())?;
    let failed = |error: &dyn std::fmt::Display| Problem::Unusable(error.to_string());
    let kubeconfig = Entry::current(&text)?.called(role.user()).to_yaml();
    let kubeconfig = kubeconfig.map_err(|error| failed(&error))?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(kubeconfig.as_bytes())
        .map_err(|error| failed(&error))?;
    let packed = gzip.finish().map_err(|error| failed(&error))?;
    Ok(STANDARD.encode(packed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mothership::view::tests::{cluster, object};

    fn packed(kubeconfig: &str) -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(kubeconfig.as_bytes()).unwrap();
        STANDARD.encode(gzip.finish().unwrap())
    }

    fn kubeconfig(user: &serde_json::Value) -> String {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "k0s",
            "clusters": [{"name": "k0s", "cluster": {"server": "https://demo:6443",
                "certificate-authority-data": "Q0E="}}],
            "users": [{"name": "kubelet-bootstrap", "user": user}],
            "contexts": [{"name": "k0s",
                "context": {"cluster": "k0s", "user": "kubelet-bootstrap"}}]})
        .to_string()
    }

    #[test]
    fn a_token_is_packed_anew_of_what_is_harmless() {
        let good = packed(&kubeconfig(&json!({"token": "a1b2c3.x"})));
        let made = anew(&STANDARD.encode(good + "\n"), Role::Worker).unwrap();
        let bytes = STANDARD.decode(made).unwrap();
        let mut text = String::new();
        let mut unpacked = GzDecoder::new(bytes.as_slice());
        unpacked.read_to_string(&mut text).unwrap();
        let found = Entry::current(&text).unwrap().whole();
        assert_eq!(found["users"][0]["name"], "kubelet-bootstrap");
        assert_eq!(found["users"][0]["user"], json!({"token": "a1b2c3.x"}));

        // A line of its own in the eyes of a script.
        let odd = kubeconfig(&json!({"token": "a1b2c3.x"})).replace("k0s", "a,server: http://x");
        let made = anew(&STANDARD.encode(packed(&odd)), Role::Controller).unwrap();
        let bytes = STANDARD.decode(made).unwrap();
        let mut text = String::new();
        let mut unpacked = GzDecoder::new(bytes.as_slice());
        unpacked.read_to_string(&mut text).unwrap();
        assert!(!text.contains("http://x"), "{text}");
        assert_eq!(text.matches("name: controller-bootstrap").count(), 3);

        let exec = json!({"token": "a1b2c3.x", "exec": {"command": "reboot"}});
        let refused = anew(&STANDARD.encode(packed(&kubeconfig(&exec))), Role::Worker).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("users[0].user.exec: is forbidden"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_no_token_is_passed_to_nobody() {
        let bomb = packed(&"# \n".repeat(4_000_000));
        for bad in ["", "$(reboot)", "a' 'b", "H4sI+/8=", &bomb, &packed("a: [")] {
            assert!(
                anew(&STANDARD.encode(bad), Role::Worker).is_err(),
                "{bad:.40}"
            );
        }
        assert!(anew("no base64", Role::Worker).is_err());
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
