//! `--as-user`: a certificate with fewer rights, signed by the hosted cluster itself.

use std::cell::RefCell;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::json;

use crate::commands::kubeconfig::KubeconfigArgs;
use crate::commands::kubeconfig::csr::SigningRequest;
use crate::error::Error;
use crate::escape::quoted;
use crate::hosted::HostedConnection;
use crate::mothership::client::Connection;
use crate::mothership::fetch;
use crate::session::Session;
use crate::wait::{Look, Wait};
use crate::{duration, escape, flags};

/// How much shorter than asked for a certificate may be without a word: signers date it back.
const SLACK: SignedDuration = SignedDuration::from_mins(10);

/// A certificate and its key, both PEM.
pub struct Signed {
    pub certificate: String,
    pub key: String,
}

/// Has a certificate made for a user, and says how long it lasts and how to give it rights.
pub async fn signed(
    session: &Session,
    place: &HostedConnection<'_>,
    args: &KubeconfigArgs,
    user: &str,
) -> Result<Signed, Error> {
    let asked = SigningRequest::new(user, &args.groups, args.ttl)?;
    let name = asked.name();
    let namespace = &place.connection.namespace;
    let exec = session.kubectl(&format!("k0smotron exec {}", args.name), namespace);
    let left = format!("CertificateSigningRequest {name} may be left in the hosted cluster");
    let remove = format!("remove it: {exec} -- kubectl delete csr {name} --ignore-not-found");
    session.leaves(&left, vec![remove.clone()]);
    let api: Api<CertificateSigningRequest> = Api::all(place.client.clone());
    // Until it is there, its name is all that is known of it.
    let found = RefCell::new(ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    });
    let end = async || {
        let known = found.borrow().clone();
        match forget(&place.connection, &api, &known).await {
            Ok(()) => session.leaves("nothing was changed", Vec::new()),
            Err(error) => {
                session.out.note(&format!("warning: {left}: {error}"));
                session.out.note(&remove);
            }
        }
    };
    let work = async {
        let attempt = format!("ask cluster {} for a certificate", args.name);
        let made = place.connection.create(&attempt, &api, &asked.request);
        if let Some(made) = made.await? {
            found.replace(made.metadata);
        }
        certified(session, place, args, &api, name).await
    };
    let made = Box::pin(session.undoing(work, end())).await;
    // It has done what it was for, or never will.
    if !matches!(made, Err(Error::Interrupted { .. })) {
        end().await;
    }
    let certificate = made?;
    let wanted = Timestamp::now() + SignedDuration::try_from(args.ttl).unwrap_or_default();
    let until = fetch::end(certificate.as_bytes());
    for line in told(user, args, &exec, until, wanted) {
        session.out.note(&line);
    }
    Ok(Signed {
        certificate,
        key: asked.key,
    })
}

async fn certified(
    session: &Session,
    place: &HostedConnection<'_>,
    args: &KubeconfigArgs,
    api: &Api<CertificateSigningRequest>,
    name: &str,
) -> Result<String, Error> {
    let there = &place.connection;
    let attempt = format!("approve CertificateSigningRequest {name}");
    let approve = PatchParams::default();
    let approval = Patch::Merge(json!({"status": {"conditions": [{
        "type": "Approved", "status": "True", "reason": "AskedByAdministrator",
        "message": "kubectl k0smotron kubeconfig --as-user",
    }]}}));
    there
        .call(&attempt, || api.patch_approval(name, &approve, &approval))
        .await?;
    let attempt = format!("get CertificateSigningRequest {name}");
    let what = format!("cluster {} to sign the certificate", args.name);
    let wait = Wait {
        what: &what,
        timeout: flags::timeout(args.timeout),
        interval: Duration::from_millis(100),
    };
    let signed = wait.until(session, async || {
        let found = there.call(&attempt, || api.get(name)).await?;
        look(&found, &args.name)
    });
    signed
        .await
        .map_err(|error| unsigned(session, place, error))
}

/// What a request has come to.
fn look(found: &CertificateSigningRequest, cluster: &str) -> Result<Look<String>, Error> {
    let status = found.status.clone().unwrap_or_default();
    let refused = status
        .conditions
        .into_iter()
        .flatten()
        .find(|condition| matches!(condition.type_.as_str(), "Failed" | "Denied"));
    if let Some(refused) = refused {
        let why = [refused.reason, refused.message];
        return Err(Error::Refused {
            attempt: format!("have cluster {cluster} sign a certificate"),
            causes: vec![
                escape::line(&why.into_iter().flatten().collect::<Vec<_>>().join(": "))
                    .into_owned(),
            ],
            hint: "choose another --as-user, --group or --ttl; nothing was changed".to_owned(),
        });
    }
    let certificate = status
        .certificate
        .and_then(|pem| String::from_utf8(pem.0).ok())
        .filter(|pem| !pem.is_empty());
    Ok(match certificate {
        Some(pem) => Look::Done(pem),
        None => Look::Pending("its kube-controller-manager has not signed it yet".to_owned()),
    })
}

/// What is left of a wait that ended without a certificate is removed: another hint is due.
fn unsigned(session: &Session, place: &HostedConnection<'_>, error: Error) -> Error {
    match error {
        Error::TimedOut {
            waited, what, last, ..
        } => {
            let logs = format!("k0smotron logs {} kube-controller-manager", place.name);
            let logs = session.kubectl(&logs, &place.connection.namespace);
            Error::TimedOut {
                waited,
                what,
                last,
                hints: vec![format!("nothing was changed; see why: {logs}")],
            }
        }
        other => other,
    }
}

async fn forget(
    there: &Connection<'_>,
    api: &Api<CertificateSigningRequest>,
    made: &ObjectMeta,
) -> Result<(), Error> {
    let name = made.name.as_deref().unwrap_or_default();
    let attempt = format!("remove CertificateSigningRequest {name}");
    there.delete(&attempt, api, made, false).await
}

/// What the person should know of the certificate.
fn told(
    user: &str,
    args: &KubeconfigArgs,
    exec: &str,
    until: Option<Timestamp>,
    wanted: Timestamp,
) -> Vec<String> {
    let mut lines = Vec::new();
    let until = until.unwrap_or(wanted);
    let end = until.strftime("%Y-%m-%dT%H:%M:%SZ");
    lines.push(format!(
        "The certificate lets {user} in until {end}; nobody can revoke it before."
    ));
    if until + SLACK < wanted {
        lines.push(format!(
            "warning: that is less than the {} that were asked for: the cluster signs for no longer",
            duration::age(args.ttl)
        ));
    }
    let (whom, flag) = match args.groups.first() {
        None => (user.to_owned(), format!("--user {}", quoted(user))),
        Some(group) => (
            format!("{user} or {}", args.groups.join(", ")),
            format!("--group {}", quoted(group)),
        ),
    };
    lines.push(format!(
        "It has no rights until somebody binds some to {whom}, for example:"
    ));
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    let binding: String = user.chars().map(plain).collect();
    lines.push(format!(
        "  {exec} -- kubectl create clusterrolebinding view-{} --clusterrole view {flag}",
        binding.to_lowercase()
    ));
    lines
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::certificates::v1::{
        CertificateSigningRequestCondition, CertificateSigningRequestStatus,
    };

    use super::*;

    fn found(condition: &str, certificate: Option<&str>) -> CertificateSigningRequest {
        let condition = CertificateSigningRequestCondition {
            type_: condition.to_owned(),
            status: "True".to_owned(),
            reason: Some("SignerValidationFailure".to_owned()),
            message: Some("invalid usages".to_owned()),
            ..CertificateSigningRequestCondition::default()
        };
        CertificateSigningRequest {
            status: Some(CertificateSigningRequestStatus {
                conditions: Some(vec![condition]),
                certificate: certificate.map(|pem| ByteString(pem.as_bytes().to_vec())),
            }),
            ..CertificateSigningRequest::default()
        }
    }

    #[test]
    fn a_request_is_over_when_it_has_a_certificate_or_was_refused() {
        let signed = look(&found("Approved", Some("PEM")), "demo").unwrap();
        assert!(matches!(signed, Look::Done(pem) if pem == "PEM"));
        let waits = look(&found("Approved", None), "demo").unwrap();
        assert!(matches!(waits, Look::Pending(_)));
        let refused = look(&found("Failed", None), "demo").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "cannot have cluster demo sign a certificate: refused: SignerValidationFailure: \
             invalid usages"
        );
    }

    fn lines(groups: &[&str], until: &str) -> String {
        let args = KubeconfigArgs {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ttl: Duration::from_secs(8 * 3600),
            ..KubeconfigArgs::default()
        };
        let wanted = "2026-11-22T18:00:00Z".parse().unwrap();
        let until = until.parse().ok();
        let exec = "kubectl k0smotron exec demo -n team-a";
        told("Alice@example.org", &args, exec, until, wanted).join("\n")
    }

    #[test]
    fn it_is_told_how_long_it_lasts_and_how_it_gets_rights() {
        insta::assert_snapshot!(lines(&[], "2026-11-22T17:55:00.5Z"), @r"
        The certificate lets Alice@example.org in until 2026-11-22T17:55:00Z; nobody can revoke it before.
        It has no rights until somebody binds some to Alice@example.org, for example:
          kubectl k0smotron exec demo -n team-a -- kubectl create clusterrolebinding view-alice-example.org --clusterrole view --user Alice@example.org
        ");
    }

    #[test]
    fn a_shorter_life_than_asked_for_and_groups_are_told() {
        insta::assert_snapshot!(lines(&["dev team", "ops"], "2026-11-22T12:00:00Z"), @r"
        The certificate lets Alice@example.org in until 2026-11-22T12:00:00Z; nobody can revoke it before.
        warning: that is less than the 8h that were asked for: the cluster signs for no longer
        It has no rights until somebody binds some to Alice@example.org or dev team, ops, for example:
          kubectl k0smotron exec demo -n team-a -- kubectl create clusterrolebinding view-alice-example.org --clusterrole view --group 'dev team'
        ");
    }
}
