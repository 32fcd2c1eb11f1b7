//! `install`: applies what this release consists of, and prunes what an earlier one has left.

use std::time::Duration;

use clap::Args;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt as _};

use crate::duration;
use crate::error::Error;
use crate::flags::{self, DryRun, DryRunArgs};
use crate::mothership::checkup;
use crate::mothership::checkup::checks::Level;
use crate::mothership::client::{Connection, FIELD_MANAGER};
use crate::mothership::release::{api, manifest, refuse_foreign};
use crate::output::{self, Structured};
use crate::prune::{leftovers, prune};
use crate::session::Session;
use crate::wait::{Look, Wait};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron install --registry registry.example.org/k0smotron --wait\n\
    \x20 kubectl k0smotron install --registry registry.example.org/k0smotron --dry-run=server\n\
    \x20 kubectl k0smotron install --registry registry.example.org/k0smotron -o yaml > install.yaml\n\n\
    What an earlier install has applied and this release no longer has is pruned once the new pods\n\
    run; --dry-run=server tells what would go. Definitions and the namespace are never pruned.")]
pub struct InstallArgs {
    /// Registry and path that the images of controller and webhook are pulled from
    #[arg(long, value_name = "REGISTRY", value_parser = registry)]
    pub registry: String,
    /// Install although another product's controller is there, and replace it
    #[arg(long)]
    pub take_over: bool,
    /// Wait until controller and webhook are available
    #[arg(long)]
    pub wait: bool,
    /// How long --wait waits; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Whether it is tried out only.
    #[command(flatten)]
    pub trial: DryRunArgs,
    /// Print the objects in this format, and install nothing
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Structured>,
}

fn registry(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:/".contains(c);
    let plain = text.trim_end_matches('/');
    if plain.is_empty() || plain.contains("://") || !plain.chars().all(fits) {
        return Err("a registry looks like registry.example.org/k0smotron".to_owned());
    }
    Ok(plain.to_owned())
}

/// Installs the product, or brings an installation to this program's version.
pub async fn run(session: &Session, args: &InstallArgs) -> Result<(), Error> {
    let objects = manifest::objects(Some(&args.registry))?;
    match args.output {
        Some(Structured::Yaml) => {
            let documents = objects.iter().map(|object| {
                output::structured(Structured::Yaml, object).map(|text| format!("---\n{text}"))
            });
            return session
                .out
                .text(&documents.collect::<Result<String, Error>>()?);
        }
        Some(Structured::Json) => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
            return session.out.structured(Structured::Json, &list);
        }
        None => {}
    }
    if args.trial.dry_run == DryRun::Client {
        let lines = objects
            .iter()
            .map(|object| format!("{} (dry run)\n", manifest::title(object)));
        return session.out.text(&lines.collect::<String>());
    }
    let connection = session.connect().await?;
    if !args.take_over {
        let hint = "read docs/compatibility.md on replacing upstream's installation, rehearse it on \
                    a copy, then add --take-over";
        refuse_foreign(&connection, &objects, "install k0smotron", hint).await?;
    }
    let dry = args.trial.dry_run == DryRun::Server;
    let mut definitions_wait = !dry;
    for object in &objects {
        if definitions_wait && !manifest::is_definition(object) {
            established(session, &connection, args, &objects).await?;
            definitions_wait = false;
        }
        let outcome = apply(session, &connection, object, dry).await?;
        let suffix = if dry { " (server dry run)" } else { "" };
        session
            .out
            .text(&format!("{} {outcome}{suffix}\n", manifest::title(object)))?;
    }
    if args.wait && !dry {
        available(session, &connection, args, &objects).await?;
    }
    if !dry {
        session.leaves("k0smotron is installed", Vec::new());
    }
    let left = leftovers(session, &connection, &objects).await?;
    if left.is_empty() {
        return Ok(());
    }
    // What an earlier release has left may be what its pods work with.
    let is_new = dry || args.wait || pending(&connection, &objects).await?.is_none();
    if !is_new {
        let titles: Vec<&str> = left.iter().map(|left| left.title.as_str()).collect();
        session.out.note(&format!(
            "Not pruned until all pods are available and of this release: {}; install again, or \
             with --wait.",
            titles.join(", ")
        ));
        return Ok(());
    }
    prune(session, &connection, &left, args.trial.dry_run).await
}

/// Applies one object and says what became of it.
async fn apply(
    session: &Session,
    connection: &Connection<'_>,
    object: &DynamicObject,
    dry: bool,
) -> Result<&'static str, Error> {
    let api = api(connection, object);
    let name = object.name_any();
    let attempt = format!("apply {}", manifest::title(object));
    let before = connection.call(&attempt, || api.get_opt(&name)).await?;
    if dry {
        return apply_dry(connection, &api, object, before.as_ref()).await;
    }
    session.leaves(
        "k0smotron is installed in part",
        vec!["install again to complete it; what is there already stays as it is".to_owned()],
    );
    // What is installed has one owner: a value that somebody else set is set back.
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(object);
    let after = connection
        .call(&attempt, || api.patch(&name, &parameters, &patch))
        .await?;
    Ok(outcome(before.as_ref(), &after))
}

async fn apply_dry(
    connection: &Connection<'_>,
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    before: Option<&DynamicObject>,
) -> Result<&'static str, Error> {
    let name = object.name_any();
    let attempt = format!("try out {}", manifest::title(object));
    let parameters = PatchParams::apply(FIELD_MANAGER).force().dry_run();
    let patch = Patch::Apply(object);
    let tried = connection
        .call(&attempt, || api.patch(&name, &parameters, &patch))
        .await;
    match tried {
        Ok(after) => Ok(outcome(before, &after)),
        // The namespace is one of the objects, and a trial does not make it.
        Err(error) if error.is_not_found() && object.namespace().is_some() => {
            Ok("not tried: its namespace would be created first")
        }
        Err(error) => Err(error),
    }
}

/// Whether anything but the record of who wrote what is different now.
fn outcome(before: Option<&DynamicObject>, after: &DynamicObject) -> &'static str {
    let Some(before) = before else {
        return "created";
    };
    let meta = |object: &DynamicObject| {
        (
            object.metadata.labels.clone(),
            object.metadata.annotations.clone(),
        )
    };
    let mut data = (before.data.clone(), after.data.clone());
    for value in [&mut data.0, &mut data.1] {
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
    }
    if meta(before) == meta(after) && data.0 == data.1 {
        "unchanged"
    } else {
        "configured"
    }
}

async fn established(
    session: &Session,
    connection: &Connection<'_>,
    args: &InstallArgs,
    objects: &[DynamicObject],
) -> Result<(), Error> {
    let wait = Wait {
        what: "the API server to serve the new kinds",
        timeout: flags::timeout(args.timeout),
        interval: Duration::from_millis(200),
    };
    let definitions: Vec<&DynamicObject> = objects
        .iter()
        .filter(|object| manifest::is_definition(object))
        .collect();
    wait.until(session, async || {
        for definition in &definitions {
            let api = api(connection, definition);
            let name = definition.name_any();
            let attempt = format!("get {}", manifest::title(definition));
            let found = connection.call(&attempt, || api.get(&name)).await?;
            let condition = crate::mothership::view::condition(&found, "Established");
            if !condition.is_some_and(|condition| condition.is_true()) {
                return Ok(Look::Pending(format!("{name} is not established yet")));
            }
        }
        Ok(Look::Done(()))
    })
    .await
}

async fn available(
    session: &Session,
    connection: &Connection<'_>,
    args: &InstallArgs,
    objects: &[DynamicObject],
) -> Result<(), Error> {
    session.leaves(
        "k0smotron is installed and still starts",
        vec!["see what it waits for: kubectl -n k0smotron get pods".to_owned()],
    );
    let wait = Wait {
        what: "controller and webhook to be available",
        timeout: flags::timeout(args.timeout),
        interval: Duration::from_millis(500),
    };
    let tried = wait
        .until(session, async || {
            if let Some(pending) = pending(connection, objects).await? {
                return Ok(Look::Pending(pending));
            }
            // The API server learns a moment later than the Deployment where the webhook is.
            let tried = checkup::admission(connection).await;
            Ok(match tried.level {
                Level::Fail => Look::Pending(tried.found),
                Level::Ok | Level::Warn => Look::Done(tried),
            })
        })
        .await?;
    if tried.level == Level::Warn {
        session.out.note(&format!("warning: {}", tried.found));
    }
    session.out.note("k0smotron is available");
    Ok(())
}

/// What the Deployments still wait for; `None` when all their pods are new and available.
async fn pending(
    connection: &Connection<'_>,
    objects: &[DynamicObject],
) -> Result<Option<String>, Error> {
    for deployment in objects
        .iter()
        .filter(|object| manifest::kind(object) == "Deployment")
    {
        let api = api(connection, deployment);
        let name = deployment.name_any();
        let attempt = format!("get {}", manifest::title(deployment));
        let found = connection.call(&attempt, || api.get(&name)).await?;
        if let Some(pending) = manifest::rollout(&found) {
            return Ok(Some(pending));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::object;

    #[test]
    fn a_status_that_moves_on_is_no_change() {
        let at = |replicas: u8, status: u8| {
            object(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "resourceVersion": status.to_string()},
                "spec": {"replicas": replicas}, "status": {"replicas": status},
            }))
        };
        assert_eq!(outcome(None, &at(1, 0)), "created");
        assert_eq!(outcome(Some(&at(1, 0)), &at(1, 1)), "unchanged");
        assert_eq!(outcome(Some(&at(1, 0)), &at(2, 0)), "configured");
    }

    #[test]
    fn a_registry_is_a_place_and_no_url() {
        assert_eq!(
            registry("r.example.org:5000/a/").unwrap(),
            "r.example.org:5000/a"
        );
        for wrong in ["", "/", "https://r.example.org", "r.example.org/a b"] {
            assert!(registry(wrong).is_err(), "{wrong}");
        }
    }
}
