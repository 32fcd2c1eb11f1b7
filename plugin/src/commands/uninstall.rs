//! `uninstall`: removes what `install` has applied, unless a Cluster needs it.

use std::time::Duration;

use clap::Args;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject, Preconditions};

use crate::error::Error;
use crate::flags::{self, DryRun, DryRunArgs};
use crate::mothership::client::Connection;
use crate::mothership::release::{self, api, everywhere, manifest, refuse_foreign};
use crate::mothership::resources;
use crate::prune::{leftovers, prune};
use crate::session::Session;
use crate::wait::{Look, Wait};
use crate::{duration, prompt};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron uninstall --dry-run\n\
    \x20 kubectl k0smotron uninstall\n\
    \x20 kubectl k0smotron uninstall --yes\n\
    \x20 kubectl k0smotron uninstall --keep-crds")]
pub struct UninstallArgs {
    /// Leave the definitions of the kinds, and with them ClusterPolicies
    #[arg(long)]
    pub keep_crds: bool,
    /// Don't ask; required when standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
    /// How long to wait until everything is gone; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Whether it is tried out only.
    #[command(flatten)]
    pub trial: DryRunArgs,
}

/// Removes the product, in the reverse of the order in which it was installed.
///
/// # Errors
/// [`Error::Conflict`] while Clusters or join token requests exist: only the controller can end
/// them, and the definitions would take them along.
pub async fn run(session: &Session, args: &UninstallArgs) -> Result<(), Error> {
    let unasked = args.yes || args.trial.dry_run != DryRun::None;
    prompt::insist(unasked, "uninstall k0smotron")?;
    let mut objects = manifest::objects(None)?;
    objects.reverse();
    objects.retain(|object| !(args.keep_crds && manifest::is_definition(object)));
    let connection = session.connect().await?;
    refuse(&connection, &objects).await?;
    let policies = if args.keep_crds {
        ""
    } else {
        ", the definitions of its kinds and every ClusterPolicy"
    };
    let question = format!(
        "k0smotron at {} will be removed: its controller, its webhook{policies}.\nRemove it?",
        connection.server
    );
    prompt::confirm(session, unasked, &question, "nothing was removed").await?;
    if !unasked {
        // Others go on while somebody reads.
        refuse(&connection, &objects).await?;
    }
    // The webhook's configurations come first: they would refuse what nobody answers any more.
    let mut removed: Vec<&DynamicObject> = Vec::new();
    let first_definition = objects.iter().position(manifest::is_definition);
    for (index, object) in objects.iter().enumerate() {
        if first_definition == Some(index) {
            // It takes along what was made while the rest went.
            refuse_while_used(&connection).await?;
        }
        if remove(session, &connection, object, args.trial.dry_run).await? {
            removed.push(object);
            let how = args.trial.dry_run.suffix();
            session
                .out
                .text(&format!("{} deleted{how}\n", manifest::title(object)))?;
        }
    }
    let left = leftovers(session, &connection, &objects).await?;
    prune(session, &connection, &left, args.trial.dry_run).await?;
    if removed.is_empty() && left.is_empty() {
        session.out.note("k0smotron is not installed there");
    } else if args.trial.dry_run == DryRun::None {
        in_part(session);
        gone(session, &connection, args, &removed).await?;
    }
    Ok(())
}

async fn refuse(connection: &Connection<'_>, objects: &[DynamicObject]) -> Result<(), Error> {
    let hint = "remove that with its own means";
    refuse_foreign(connection, objects, "uninstall k0smotron", hint).await?;
    refuse_while_used(connection).await
}

async fn refuse_while_used(connection: &Connection<'_>) -> Result<(), Error> {
    let clusters = everywhere(connection, &resources::clusters(), "list clusters").await?;
    let requests = resources::join_token_requests();
    let requests = everywhere(connection, &requests, "list join token requests").await?;
    let Some((answer, hint)) = in_use(&clusters, &requests) else {
        return Ok(());
    };
    // This removal or an earlier one may have ended it, and nobody else ends them.
    let controller = release::deployment(connection, release::CONTROLLER).await?;
    let stays = controller.is_some_and(|it| it.metadata.deletion_timestamp.is_none());
    Err(Error::Conflict {
        attempt: "uninstall k0smotron".to_owned(),
        answer,
        hint: if stays {
            hint
        } else {
            format!("the controller is gone already: kubectl k0smotron install, then {hint}")
        },
    })
}

/// What still needs the controller, and how to end it.
fn in_use(clusters: &[String], requests: &[String]) -> Option<(String, String)> {
    if !clusters.is_empty() {
        let hint = "delete each of them first: kubectl k0smotron delete NAME -n NAMESPACE --wait";
        return Some((
            format!("there are clusters: {}", clusters.join(", ")),
            hint.to_owned(),
        ));
    }
    (!requests.is_empty()).then(|| {
        (
            format!("there are join token requests: {}", requests.join(", ")),
            "delete each of them first: kubectl delete jointokenrequests NAME -n NAMESPACE"
                .to_owned(),
        )
    })
}

/// What an interrupt leaves from here on.
fn in_part(session: &Session) {
    session.leaves(
        "k0smotron is removed in part",
        vec!["uninstall again to complete it, or install to have it back".to_owned()],
    );
}

/// Whether the object was there.
async fn remove(
    session: &Session,
    connection: &Connection<'_>,
    object: &DynamicObject,
    dry_run: DryRun,
) -> Result<bool, Error> {
    let api = api(connection, object);
    let name = object.name_any();
    let attempt = format!("delete {}", manifest::title(object));
    let Some(found) = connection.call(&attempt, || api.get_opt(&name)).await? else {
        return Ok(false);
    };
    if dry_run == DryRun::Client {
        return Ok(true);
    }
    let mut parameters = DeleteParams::foreground();
    parameters.dry_run = dry_run == DryRun::Server;
    parameters.preconditions = Some(Preconditions {
        uid: found.metadata.uid,
        resource_version: None,
    });
    if !parameters.dry_run {
        in_part(session);
    }
    match connection
        .call(&attempt, || api.delete(&name, &parameters))
        .await
    {
        Err(error) if error.is_not_found() => Ok(false),
        other => other.map(|_| true),
    }
}

async fn gone(
    session: &Session,
    connection: &Connection<'_>,
    args: &UninstallArgs,
    removed: &[&DynamicObject],
) -> Result<(), Error> {
    let wait = Wait {
        what: "everything to be gone",
        timeout: flags::timeout(args.timeout),
        interval: Duration::from_millis(500),
    };
    wait.until(session, async || {
        for object in removed {
            let api = api(connection, object);
            let name = object.name_any();
            let attempt = format!("get {}", manifest::title(object));
            if connection
                .call(&attempt, || api.get_opt(&name))
                .await?
                .is_some()
            {
                return Ok(Look::Pending(format!(
                    "{} is ending",
                    manifest::title(object)
                )));
            }
        }
        Ok(Look::Done(()))
    })
    .await?;
    session.out.note("k0smotron is gone");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mothership::client::testing;

    #[tokio::test]
    async fn who_is_to_delete_clusters_is_told_when_nobody_is_there_to_end_them() {
        let path = "/apis/apps/v1/namespaces/k0smotron/deployments/k0smotron-controller-manager";
        let hint = async |controller: Option<Value>| {
            let (session, _) = testing::session();
            let connection = testing::connection(&session.out, move |_, asked| {
                let list = json!({"metadata": {}, "items":
                    [{"metadata": {"namespace": "team-a", "name": "demo"}}]});
                match &controller {
                    _ if asked.starts_with("/apis/k0smotron.io/") => (200, list),
                    Some(metadata) if asked == path => (200, json!({"metadata": metadata})),
                    _ => testing::missing(asked),
                }
            });
            match refuse(&connection, &[]).await {
                Err(Error::Conflict { hint, .. }) => hint,
                other => panic!("{other:?}"),
            }
        };
        let delete = "delete each of them first: kubectl k0smotron delete NAME -n NAMESPACE --wait";
        let name = "k0smotron-controller-manager";
        assert_eq!(hint(Some(json!({"name": name}))).await, delete);
        let install =
            format!("the controller is gone already: kubectl k0smotron install, then {delete}");
        assert_eq!(hint(None).await, install);
        let ending = json!({"name": name, "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(hint(Some(ending)).await, install);
    }

    #[test]
    fn what_only_the_controller_can_end_is_named_before_anything_goes() {
        let one = ["team-a/demo".to_owned()];
        let (answer, hint) = in_use(&one, &one).unwrap();
        assert_eq!(answer, "there are clusters: team-a/demo");
        assert!(hint.contains("k0smotron delete"));
        let (answer, _) = in_use(&[], &one).unwrap();
        assert_eq!(answer, "there are join token requests: team-a/demo");
        assert_eq!(in_use(&[], &[]), None);
    }
}
