//! Whether everything is there that hosted clusters need, as `doctor` tells.

mod certificates;
pub mod checks;

use crds::labels;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use serde_json::{Value, json};

use self::checks::{CheckFinding, Level};
use crate::error::Error;
use crate::mothership::client::{Connection, Submission};
use crate::mothership::{release, resources};
use crate::output::Style;
use crate::output::table::{Cell, Table};

/// The findings as people read them.
pub fn table(findings: &[CheckFinding]) -> Table {
    let mut table = Table::new(["CHECK", "LEVEL", "FOUND", "REMEDY"]);
    for found in findings {
        let (text, style) = match found.level {
            Level::Ok => ("OK", Style::Good),
            Level::Warn => ("WARN", Style::Waiting),
            Level::Fail => ("FAIL", Style::Bad),
        };
        table.push(vec![
            found.check.into(),
            Cell::styled(text, style),
            found.found.as_str().into(),
            found.remedy.as_str().into(),
        ]);
    }
    table
}

/// What there is to find.
pub async fn look(connection: &Connection<'_>) -> Result<Vec<CheckFinding>, Error> {
    let client = connection.client();
    let version = connection
        .call("ask the mothership for its version", || {
            client.apiserver_version()
        })
        .await?;
    let mut findings = vec![
        CheckFinding::ok("API server", format!("{} answers", connection.server)),
        checks::kubernetes(&version.major, &version.minor),
    ];
    for name in ["clusters", "jointokenrequests", "clusterpolicies"] {
        let name = format!("{name}.{}", resources::GROUP);
        seen(
            &mut findings,
            "CRDs",
            get(connection, &definitions(), &name).await,
            |found| checks::definition(&name, found),
        )?;
    }
    for (check, name) in [
        ("Controller", release::CONTROLLER),
        ("Webhook", release::WEBHOOK),
    ] {
        let found = release::deployment(connection, name).await;
        seen(&mut findings, check, found, |found| {
            checks::deployment(check, name, found, release::own())
        })?;
    }
    let mut certificates = Vec::new();
    for kind in ["Mutating", "Validating"] {
        let resource = configurations(kind);
        let found = get(connection, &resource, "k0smotron").await;
        seen(&mut findings, "Admission", found, |found| {
            let bundle =
                found.and_then(|found| certificates::of_configuration(&resource.kind, found));
            certificates.extend(bundle);
            checks::configuration(&resource.kind, "k0smotron", found)
        })?;
    }
    findings.push(admission(connection).await);
    let classes = list(connection, &classes()).await;
    seen_all(&mut findings, "Storage", classes, |all| {
        vec![checks::storage(all)]
    })?;
    let services = list(connection, &services()).await;
    seen_all(&mut findings, "Load balancer", services, |all| {
        vec![checks::load_balancer(all)]
    })?;
    for (what, group, resource, sub, verb) in [
        (
            "create clusters",
            resources::GROUP,
            "clusters",
            "",
            "create",
        ),
        (
            "ask for join tokens",
            resources::GROUP,
            "jointokenrequests",
            "",
            "create",
        ),
        (
            "read kubeconfigs and tokens (Secrets)",
            "",
            "secrets",
            "",
            "get",
        ),
        ("read logs", "", "pods", "log", "get"),
        (
            "make tunnels (pods/portforward)",
            "",
            "pods",
            "portforward",
            "create",
        ),
    ] {
        let allowed = may(connection, group, resource, sub, verb).await?;
        let what = format!("{what} in namespace \"{}\"", connection.namespace);
        findings.push(checks::right(&what, allowed));
    }
    let all = list(connection, &resources::clusters()).await;
    seen_all(&mut findings, "Clusters", all, checks::clusters)?;
    match secrets(connection).await {
        Ok(secrets) => certificates.extend(secrets.iter().filter_map(certificates::of_secret)),
        Err(error) => findings.push(hidden("Certificates", error)?),
    }
    findings.extend(certificates::judge(&certificates, Timestamp::now()));
    Ok(findings)
}

/// Whether a Cluster that is as simple as can be would be accepted now.
pub async fn admission(connection: &Connection<'_>) -> CheckFinding {
    let body = json!({
        "apiVersion": format!("{}/{}", resources::GROUP, resources::VERSION),
        "kind": "Cluster",
        "metadata": {"name": "k0smotron-doctor", "namespace": connection.namespace},
        "spec": {"service": {"type": "ClusterIP"}},
    });
    let check = "Admission";
    let Ok(object) = serde_json::from_value::<DynamicObject>(body) else {
        return CheckFinding::warn(check, "the trial could not be made", "");
    };
    let clusters = resources::clusters();
    let tried = connection
        .submit("try out a cluster", &clusters, &object, Submission::Trial)
        .await;
    match tried {
        // Somebody has one of that name: the webhook is asked before that is looked for.
        Ok(_) | Err(Error::Conflict { .. }) => {
            CheckFinding::ok(check, "a simple cluster would be accepted")
        }
        Err(error @ (Error::Refused { .. } | Error::Forbidden { .. } | Error::NotFound { .. })) => {
            let hint = error.hints().into_iter().next().unwrap_or_default();
            CheckFinding::warn(check, error.to_string(), hint)
        }
        Err(error) => {
            let hint = error.hints().into_iter().next().unwrap_or_default();
            CheckFinding::fail(check, error.to_string(), hint)
        }
    }
}

/// What the person may not see is a finding of its own; anything else ends the command.
fn seen(
    findings: &mut Vec<CheckFinding>,
    check: &'static str,
    found: Result<Option<DynamicObject>, Error>,
    judge: impl FnOnce(Option<&DynamicObject>) -> CheckFinding,
) -> Result<(), Error> {
    match found {
        Ok(found) => findings.push(judge(found.as_ref())),
        Err(error) => findings.push(hidden(check, error)?),
    }
    Ok(())
}

fn seen_all(
    findings: &mut Vec<CheckFinding>,
    check: &'static str,
    found: Result<Vec<DynamicObject>, Error>,
    judge: impl FnOnce(&[DynamicObject]) -> Vec<CheckFinding>,
) -> Result<(), Error> {
    match found {
        Ok(found) => findings.extend(judge(&found)),
        // Said already by what is missing.
        Err(Error::NotInstalled { .. }) => {}
        Err(error) => findings.push(hidden(check, error)?),
    }
    Ok(())
}

fn hidden(check: &'static str, error: Error) -> Result<CheckFinding, Error> {
    match error {
        Error::Forbidden { .. } => Ok(CheckFinding::warn(
            check,
            error.to_string(),
            "ask somebody who may see it",
        )),
        other => Err(other),
    }
}

async fn get(
    connection: &Connection<'_>,
    resource: &ApiResource,
    name: &str,
) -> Result<Option<DynamicObject>, Error> {
    let api = connection.api_everywhere(resource);
    let attempt = format!("get {} {name}", resource.kind);
    match connection.call(&attempt, || api.get(name)).await {
        Err(error) if error.is_not_found() => Ok(None),
        other => other.map(Some),
    }
}

async fn list(
    connection: &Connection<'_>,
    resource: &ApiResource,
) -> Result<Vec<DynamicObject>, Error> {
    let api = connection.api_everywhere(resource);
    let all = ListParams::default();
    let attempt = format!("list {}", resource.plural);
    Ok(connection.call(&attempt, || api.list(&all)).await?.items)
}

/// The Secrets of all Clusters, without what is in them.
async fn secrets(
    connection: &Connection<'_>,
) -> Result<Vec<PartialObjectMeta<DynamicObject>>, Error> {
    let api = connection.api_everywhere(&resources::secrets());
    let mut all = Vec::new();
    for selector in [
        labels::CLUSTER_NAME.to_owned(),
        format!("{}={}", labels::APP, labels::APP_VALUE),
    ] {
        let labelled = ListParams::default().labels(&selector);
        let found = connection
            .call("list the certificates of clusters", || {
                api.list_metadata(&labelled)
            })
            .await?;
        all.extend(found.items);
    }
    // A Secret has the labels of both where the Cluster's own labels are among them.
    let uid = |secret: &PartialObjectMeta<DynamicObject>| secret.metadata.uid.clone();
    all.sort_by_key(uid);
    all.dedup_by_key(|secret| uid(secret));
    Ok(all)
}

async fn may(
    connection: &Connection<'_>,
    group: &str,
    resource: &str,
    subresource: &str,
    verb: &str,
) -> Result<bool, Error> {
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": {"resourceAttributes": {
            "namespace": connection.namespace, "group": group, "resource": resource,
            "subresource": subresource, "verb": verb,
        }},
    });
    let object: DynamicObject = serde_json::from_value(body)
        .map_err(|source| Error::io("build a review", source.into()))?;
    let api = connection.api_everywhere(&reviews());
    let parameters = kube::api::PostParams::default();
    let answer = connection
        .call("ask for your rights", || api.create(&parameters, &object))
        .await?;
    let allowed = answer
        .data
        .pointer("/status/allowed")
        .and_then(Value::as_bool);
    Ok(allowed.unwrap_or_default())
}

fn kind(group: &str, kind: &str, plural: &str) -> ApiResource {
    resources::resource(group, "v1", kind, plural)
}

fn definitions() -> ApiResource {
    kind(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    )
}

fn configurations(which: &str) -> ApiResource {
    let name = format!("{which}WebhookConfiguration");
    let plural = format!("{}s", name.to_lowercase());
    kind("admissionregistration.k8s.io", &name, &plural)
}

fn classes() -> ApiResource {
    kind("storage.k8s.io", "StorageClass", "storageclasses")
}

fn services() -> ApiResource {
    kind("", "Service", "services")
}

fn reviews() -> ApiResource {
    kind(
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
    )
}
