//! `rotate`: what gives access to a cluster, made anew.

use std::time::Duration;

use clap::{Args, Subcommand};
use crds::names;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};

use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::{resources, view};
use crate::session::Session;
use crate::wait::{Look, Wait};
use crate::{duration, flags, prompt, tokens};

const UNCHANGED: &str = "nothing was changed";

/// What to make anew.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// What to make anew.
    #[command(subcommand)]
    pub what: What,
}

/// What can be made anew.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Have a new administrator's kubeconfig made
    #[command(after_help = "Examples:\n\
        \x20 kubectl k0smotron rotate kubeconfig demo\n\
        \x20 kubectl k0smotron rotate kubeconfig demo && kubectl k0smotron kubeconfig demo --merge\n\n\
        Kubernetes cannot revoke a client certificate: the one in the old kubeconfig lets in\n\
        whoever holds it until it expires.")]
    Kubeconfig(OfCluster),
    /// Revoke all join tokens; machines that have joined stay
    #[command(after_help = "Examples:\n\
        \x20 kubectl k0smotron rotate tokens demo\n\
        \x20 kubectl k0smotron rotate tokens demo --yes && kubectl k0smotron join demo")]
    Tokens(OfCluster),
}

#[derive(Debug, Args)]
pub struct OfCluster {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// Don't ask; nothing is asked either when standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
    /// How long to wait for the controller; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// Makes anew what is asked for.
pub async fn run(session: &Session, args: &RotateArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    match &args.what {
        What::Kubeconfig(args) => kubeconfig(session, &connection, args).await,
        What::Tokens(args) => tokens(session, &connection, args).await,
    }
}

async fn kubeconfig(
    session: &Session,
    connection: &Connection<'_>,
    args: &OfCluster,
) -> Result<(), Error> {
    let (name, place) = (&args.name, &connection.namespace);
    let cluster = connection.cluster(name).await?;
    let secret = names::kubeconfig(name);
    let attempt = format!("rotate the kubeconfig of cluster {place}/{name}");
    let api = connection.api(&resources::secrets());
    let get = format!("get Secret {place}/{secret}");
    let found = connection.call(&get, || api.get_metadata(&secret)).await?;
    let owners = found.metadata.owner_references.clone().unwrap_or_default();
    let owned = owners
        .iter()
        .any(|owner| Some(&owner.uid) == cluster.metadata.uid.as_ref());
    if let Some(why) = forbids(&cluster, owned) {
        return Err(Error::Refused {
            attempt,
            causes: vec![why],
            hint: UNCHANGED.to_owned(),
        });
    }
    let question =
        format!("Secret {place}/{secret} will be deleted, and the controller recreates it. Do it?");
    prompt::confirm(session, args.yes, &question, UNCHANGED).await?;
    let read = session.kubectl(&format!("k0smotron kubeconfig {name} --wait"), place);
    session.leaves(
        format!("Secret {place}/{secret} may be deleted, and the controller recreates it"),
        vec![format!("read the new one: {read}")],
    );
    let before = found.metadata.uid.clone();
    let delete = format!("delete Secret {place}/{secret}");
    connection
        .delete(&delete, &api, &found.metadata, false)
        .await?;
    let what = format!("a new kubeconfig of cluster {place}/{name}");
    wait(&what, args)
        .until(session, async || {
            match connection.call(&get, || api.get_metadata(&secret)).await {
                Err(error) if error.is_not_found() => {
                    Ok(Look::Pending("the controller makes it".to_owned()))
                }
                Err(error) => Err(error),
                Ok(now) if now.metadata.uid == before => {
                    let held = now.metadata.finalizers.unwrap_or_default().join(", ");
                    Ok(Look::Pending(format!("the old one is held by {held}")))
                }
                Ok(_) => Ok(Look::Done(())),
            }
        })
        .await?;
    session
        .out
        .data(&format!("{} kubeconfig rotated\n", view::qualified(name)))?;
    session.out.note(
        "The certificate in the old one stays valid until it expires: Kubernetes cannot revoke a \
         client certificate.",
    );
    let merge = session.kubectl(&format!("k0smotron kubeconfig {name} --merge"), place);
    session
        .out
        .note(&format!("Bring the new one into yours: {merge}"));
    Ok(())
}

/// Why a deleted kubeconfig would not come back; `None` when it will.
fn forbids(cluster: &DynamicObject, owned: bool) -> Option<String> {
    if !owned {
        return Some(
            "its Secret does not belong to the Cluster, so the controller would not make another"
                .to_owned(),
        );
    }
    if cluster.metadata.deletion_timestamp.is_some() {
        return Some("the Cluster is being deleted".to_owned());
    }
    // While a Cluster is not accepted nothing is made for it.
    view::refusal(cluster)
}

async fn tokens(
    session: &Session,
    connection: &Connection<'_>,
    args: &OfCluster,
) -> Result<(), Error> {
    let (name, place) = (&args.name, &connection.namespace);
    connection.cluster(name).await?;
    let api = connection.api(&resources::join_token_requests());
    let list = format!("list join token requests in namespace \"{place}\"");
    let parameters = ListParams::default();
    let found = connection.call(&list, || api.list(&parameters)).await?;
    let requests: Vec<DynamicObject> = found
        .items
        .into_iter()
        .filter(|request| tokens::is_of(request, Some(name)))
        .collect();
    let qualified = view::qualified(name);
    if !requests.is_empty() {
        let names: Vec<String> = requests.iter().map(ResourceExt::name_any).collect();
        let question = format!(
            "Join tokens of cluster {place}/{name} will be revoked: {}. Machines that have joined \
             stay. Do it?",
            names.join(", ")
        );
        prompt::confirm(session, args.yes, &question, UNCHANGED).await?;
    }
    let look = session.kubectl("get jointokenrequests.k0smotron.io", place);
    session.leaves(
        format!("some join tokens of cluster {place}/{name} may be revoked, others not"),
        vec![format!("see which are left: {look}")],
    );
    for (done, request) in requests.iter().enumerate() {
        if let Err(error) = tokens::revoke(connection, request, false).await {
            tokens::say_begun(session, &requests, done);
            return Err(error);
        }
    }
    let count = requests.len();
    let ending = tokens::Ending::new(session, connection, requests);
    let timeout = flags::timeout(args.timeout);
    ending.wait(timeout, |_| Ok(())).await?;
    session
        .out
        .data(&format!("{qualified} {count} join tokens revoked\n"))?;
    let join = session.kubectl(&format!("k0smotron join {name}"), place);
    session.out.note(&format!("Make a new one: {join}"));
    Ok(())
}

fn wait<'a>(what: &'a str, args: &OfCluster) -> Wait<'a> {
    Wait {
        what,
        timeout: flags::timeout(args.timeout),
        interval: Duration::from_millis(300),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::{cluster, object};

    #[test]
    fn a_kubeconfig_that_nobody_would_make_anew_is_not_deleted() {
        let good = cluster(json!({}));
        assert_eq!(forbids(&good, true), None);
        assert!(forbids(&good, false).unwrap().contains("does not belong"));
        let accepted = json!({"type": "Accepted", "status": "False", "reason": "NotImplemented",
            "message": "spec.ingress is not supported yet"});
        let refused = cluster(json!({"observedGeneration": 2, "conditions": [accepted]}));
        assert!(forbids(&refused, true).unwrap().contains("spec.ingress"));
    }

    #[test]
    fn tokens_of_other_clusters_are_left_alone() {
        let request = |name: &str, of: &str| {
            object(json!({"metadata": {"name": name}, "spec": {"clusterName": of}}))
        };
        let all = [
            request("a", "demo"),
            request("b", "demo-2"),
            request("c", "demo"),
        ];
        let names: Vec<String> = all
            .iter()
            .filter(|request| tokens::is_of(request, Some("demo")))
            .map(ResourceExt::name_any)
            .collect();
        assert_eq!(names, ["a", "c"]);
    }
}
