//! Everything that belongs to a Cluster, fetched. What may not be read is a gap, not an error.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::{labels, names};
use futures::future::join_all;
use futures::stream::select_all;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::config::Kubeconfig;
use kube::core::{PartialObjectMeta, TypeMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};

use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::tree::Observed;
use crate::mothership::{event, resources, view};

/// Fetches what carries the Cluster's labels, and the join token requests that name it.
pub async fn observe(
    connection: &Connection<'_>,
    cluster: &DynamicObject,
) -> Result<Observed, Error> {
    let name = cluster.name_any();
    let [own, certificates] = selectors(&name);
    let kinds = resources::children();
    let secrets = resources::secrets();
    // Of Secrets only the metadata is fetched: a status must not carry keys over the network.
    let lists = kinds
        .iter()
        .map(|kind| (kind, own.clone(), true))
        .chain([
            (&secrets, own.clone(), false),
            (&secrets, certificates, false),
        ])
        .map(|(kind, selector, whole)| list(connection, kind, selector, whole));
    let requests = resources::join_token_requests();
    let (lists, requests) = futures::join!(
        join_all(lists),
        list(connection, &requests, String::new(), true)
    );
    let mut observed = Observed::default();
    for found in lists {
        keep(&mut observed.gaps, found, &mut observed.children)?;
    }
    let uid = cluster.metadata.uid.as_deref();
    observed.children.retain(|child| belongs(child, uid));
    keep(&mut observed.gaps, requests, &mut observed.requests)?;
    observed
        .requests
        .retain(|request| view::text(request, "/spec/clusterName").as_ref() == Some(&name));
    observed.gaps.dedup();
    observed.ends = annotated_ends(&observed.children);
    Ok(observed)
}

/// When certificates end, by the name of their Secrets, as the controller has written it there.
pub fn annotated_ends(children: &[DynamicObject]) -> BTreeMap<String, Timestamp> {
    let end = |child: &DynamicObject| {
        let end = child.annotations().get(names::NOT_AFTER)?;
        Some((child.name_any(), end.parse().ok()?))
    };
    children.iter().filter_map(end).collect()
}

/// The labels of what belongs to a Cluster, and those of its certificates.
pub fn selectors(name: &str) -> [String; 2] {
    [
        format!(
            "{}={},{}={name}",
            labels::APP,
            labels::APP_VALUE,
            labels::CLUSTER
        ),
        format!("{}={name}", labels::CLUSTER_NAME),
    ]
}

/// Says that something of a Cluster may have changed. While nothing does, nothing is asked. What may
/// not be watched says nothing.
pub fn changes(connection: &Connection<'_>, name: &str) -> impl Stream<Item = ()> + Unpin {
    let [own, certificates] = selectors(name);
    let secrets = resources::secrets();
    let watches = resources::children()
        .into_iter()
        .map(|kind| (kind, watcher::Config::default().labels(&own)))
        .chain([
            (secrets.clone(), watcher::Config::default().labels(&own)),
            (secrets, watcher::Config::default().labels(&certificates)),
            (
                resources::clusters(),
                watcher::Config::default().fields(&format!("metadata.name={name}")),
            ),
            (resources::join_token_requests(), watcher::Config::default()),
            (resources::events(), watcher::Config::default()),
        ])
        .map(|(kind, config)| {
            let api: Api<PartialObjectMeta<DynamicObject>> =
                Api::namespaced_with(connection.client().clone(), &connection.namespace, &kind);
            let told = watcher(api, config).default_backoff();
            told.filter_map(async |event| match event {
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) | Err(_) => None,
                Ok(_) => Some(()),
            })
            .boxed_local()
        });
    select_all(watches)
}

/// Waits for the next change, and a little longer for those that come with it.
pub async fn change(changes: &mut (impl Stream<Item = ()> + Unpin)) {
    if changes.next().await.is_none() {
        return std::future::pending().await;
    }
    let end = tokio::time::sleep(Duration::from_millis(300));
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            () = &mut end => return,
            _ = changes.next() => {}
        }
    }
}

/// What carries the labels but is owned by another Cluster (of the same name, being deleted) is
/// not this one's.
fn belongs(child: &DynamicObject, uid: Option<&str>) -> bool {
    let owners = child.owner_references();
    let mut clusters = owners
        .iter()
        .filter(|owner| owner.kind == "Cluster")
        .peekable();
    clusters.peek().is_none() || clusters.any(|owner| Some(owner.uid.as_str()) == uid)
}

async fn list(
    connection: &Connection<'_>,
    kind: &ApiResource,
    selector: String,
    whole: bool,
) -> Result<Vec<DynamicObject>, Error> {
    let mut parameters = ListParams::default();
    if !selector.is_empty() {
        parameters = parameters.labels(&selector);
    }
    let api = connection.api(kind);
    let attempt = format!(
        "list {} in namespace \"{}\"",
        kind.plural, connection.namespace
    );
    let types = TypeMeta {
        api_version: kind.api_version.clone(),
        kind: kind.kind.clone(),
    };
    let items: Vec<DynamicObject> = if whole {
        connection
            .call(&attempt, || api.list(&parameters))
            .await?
            .items
    } else {
        let found = connection
            .call(&attempt, || api.list_metadata(&parameters))
            .await?;
        let only_metadata = |item: PartialObjectMeta<DynamicObject>| DynamicObject {
            types: None,
            metadata: item.metadata,
            data: serde_json::Value::Null,
        };
        found.items.into_iter().map(only_metadata).collect()
    };
    Ok(items
        .into_iter()
        .map(|item| DynamicObject {
            types: Some(types.clone()),
            ..item
        })
        .collect())
}

/// A kind that may not be listed is a gap in the tree; anything else ends the command.
fn keep(
    gaps: &mut Vec<String>,
    found: Result<Vec<DynamicObject>, Error>,
    into: &mut Vec<DynamicObject>,
) -> Result<(), Error> {
    match found {
        Ok(items) => into.extend(items),
        Err(error @ (Error::Forbidden { .. } | Error::NotInstalled { .. })) => {
            gaps.push(error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The events about a Cluster and what belongs to it, the newest last.
pub async fn events(
    connection: &Connection<'_>,
    cluster: &DynamicObject,
    observed: &Observed,
) -> Result<Vec<DynamicObject>, Error> {
    let found = list(connection, &resources::events(), String::new(), true).await?;
    let uids = observed
        .children
        .iter()
        .chain(&observed.requests)
        .chain([cluster])
        .filter_map(|object| object.metadata.uid.clone())
        .collect();
    Ok(event::concerning(found, &cluster.name_any(), &uids))
}

/// When the certificates in a Cluster's Secrets end, by the Secret's name: of a kubeconfig that of
/// its user. The certificates themselves say it, in place of the annotation that a user's own and
/// older ones lack.
pub async fn ends(
    connection: &Connection<'_>,
    cluster: &DynamicObject,
) -> Result<BTreeMap<String, Timestamp>, Error> {
    let name = cluster.name_any();
    let secrets = resources::secrets();
    let mut ends = BTreeMap::new();
    for selector in selectors(&name) {
        for secret in list(connection, &secrets, selector, true).await? {
            let field = |key: &str| {
                let text = view::text(&secret, &format!("/data/{key}"))?;
                STANDARD.decode(text).ok()
            };
            let end = field(names::TLS_CERT_KEY)
                .or_else(|| field(names::KUBECONFIG_KEY).and_then(|text| of_user(&text)))
                .and_then(|pem| end(&pem));
            if let Some(end) = end {
                ends.insert(secret.name_any(), end);
            }
        }
    }
    Ok(ends)
}

/// The client certificate of a kubeconfig's first user.
fn of_user(kubeconfig: &[u8]) -> Option<Vec<u8>> {
    let config = Kubeconfig::from_yaml(std::str::from_utf8(kubeconfig).ok()?).ok()?;
    let user = config.auth_infos.into_iter().next()?.auth_info?;
    STANDARD.decode(user.client_certificate_data?).ok()
}

/// When a certificate (PEM) ends; `None` for what is none.
pub fn end(pem: &[u8]) -> Option<Timestamp> {
    let facts = pki::inspect(std::str::from_utf8(pem).ok()?).ok()?;
    Some(facts.not_after)
}
