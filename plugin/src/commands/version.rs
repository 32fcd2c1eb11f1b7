//! `version`: which versions this program, the controller and the webhook are of.

use clap::Args;
use kube::api::DynamicObject;
use serde::Serialize;

use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::release::{self, Skew};
use crate::mothership::resources;
use crate::output::Structured;
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron version\n\
    \x20 kubectl k0smotron version --client\n\
    \x20 kubectl k0smotron version -o json | jq -r .controller.version\n\n\
    A program that is a minor version older or newer than the controller is warned about.")]
pub struct VersionArgs {
    /// Only this program's version, without asking the mothership
    #[arg(long)]
    pub client: bool,
    /// Output format; plain lines unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Structured>,
}

/// What is known of the versions.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<String>,
    /// The versions of k0smotron.io that the mothership serves; empty when it isn't installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<Part>,
}

/// One of the product's programs in the mothership.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Why there is no version, or whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Shows versions. What is known is printed even when the mothership does not answer.
pub async fn run(session: &Session, args: &VersionArgs) -> Result<(), Error> {
    let mut versions = Versions {
        client: release::own().to_owned(),
        ..Versions::default()
    };
    let asked = if args.client {
        Ok(())
    } else {
        ask(session, &mut versions).await
    };
    match args.output {
        Some(format) => session.out.structured(format, &versions)?,
        None => session.out.text(&render(&versions))?,
    }
    for warning in warnings(&versions) {
        session.out.note(&format!("warning: {warning}"));
    }
    asked
}

async fn ask(session: &Session, versions: &mut Versions) -> Result<(), Error> {
    let connection = session.connect().await?;
    let client = connection.client();
    let attempt = "ask the mothership for its version";
    let info = connection
        .call(attempt, || client.apiserver_version())
        .await?;
    versions.kubernetes = Some(info.git_version);
    let (groups, controller, webhook) = futures::join!(
        connection.call(attempt, || client.list_api_groups()),
        part(&connection, release::CONTROLLER),
        part(&connection, release::WEBHOOK),
    );
    versions.controller = Some(controller?);
    versions.webhook = Some(webhook?);
    let groups = groups?.groups;
    let served = groups.iter().filter(|group| group.name == resources::GROUP);
    versions.api = Some(
        served
            .flat_map(|group| &group.versions)
            .map(|v| v.version.clone())
            .collect(),
    );
    Ok(())
}

/// What the person may not see is said, and keeps nothing else from being shown.
async fn part(connection: &Connection<'_>, name: &str) -> Result<Part, Error> {
    match release::deployment(connection, name).await {
        Ok(found) => Ok(read(name, found.as_ref())),
        Err(error @ Error::Forbidden { .. }) => Ok(Part {
            problem: Some(error.to_string()),
            ..Part::default()
        }),
        Err(error) => Err(error),
    }
}

fn read(name: &str, found: Option<&DynamicObject>) -> Part {
    let Some(found) = found else {
        let place = crds::names::SYSTEM_NAMESPACE;
        return Part {
            problem: Some(format!(
                "not installed: there is no Deployment {name} in namespace {place}"
            )),
            ..Part::default()
        };
    };
    let version = release::version(found);
    let foreign = name == release::CONTROLLER && release::manifest::is_foreign(found);
    let problem = if foreign {
        Some("it belongs to another product".to_owned())
    } else {
        let silent = || "its image has no tag that names one".to_owned();
        version.is_none().then(silent)
    };
    Part {
        version,
        image: Some(release::image(found)),
        problem,
    }
}

fn render(versions: &Versions) -> String {
    let part = |title: &str, part: &Part| {
        let problem = part.problem.as_deref();
        let version = part.version.as_ref().map(|version| {
            let numbers = version.starts_with(|c: char| c.is_ascii_digit());
            format!("{}{version}", if numbers { "v" } else { "" })
        });
        match (version, problem) {
            (Some(version), None) => format!("{title}{version}\n"),
            (Some(version), Some(problem)) => format!("{title}{version} ({problem})\n"),
            (None, problem) => format!("{title}{}\n", problem.unwrap_or_default()),
        }
    };
    let client = Some(format!("Client:     v{}\n", versions.client));
    let kubernetes = versions
        .kubernetes
        .as_ref()
        .map(|version| format!("Mothership: Kubernetes {version}\n"));
    let api = versions.api.as_deref().map(|served| match served {
        [] => "API:        k0smotron.io is not installed\n".to_owned(),
        served => format!("API:        k0smotron.io {}\n", served.join(", ")),
    });
    let controller = versions.controller.as_ref();
    let webhook = versions.webhook.as_ref();
    client
        .into_iter()
        .chain(kubernetes)
        .chain(api)
        .chain(controller.map(|found| part("Controller: ", found)))
        .chain(webhook.map(|found| part("Webhook:    ", found)))
        .collect()
}

/// What does not go together, and what to do about it.
fn warnings(versions: &Versions) -> Vec<String> {
    let known = |part: &Option<Part>| {
        let part = part.as_ref().filter(|part| part.problem.is_none())?;
        part.version.clone()
    };
    let mut warnings = Vec::new();
    let own = &versions.client;
    let install = "kubectl k0smotron install --registry REGISTRY";
    let Some(controller) = known(&versions.controller) else {
        return warnings;
    };
    match release::skew(own, &controller) {
        Some(Skew::Behind) => warnings.push(format!(
            "this program (v{own}) is older than the controller (v{controller}) and may not know \
             what it offers: get the plugin of v{controller}"
        )),
        Some(Skew::Ahead) => warnings.push(format!(
            "this program (v{own}) is newer than the controller (v{controller}) and may ask for \
             what it does not know: bring the mothership to v{own} with {install}, or get the \
             plugin of v{controller}"
        )),
        None => {}
    }
    if let Some(webhook) = known(&versions.webhook)
        && release::skew(&webhook, &controller).is_some()
    {
        warnings.push(format!(
            "the webhook (v{webhook}) and the controller (v{controller}) are of different \
             releases: bring both to one with {install}"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::object;

    fn deployment(image: &str, command: &str) -> DynamicObject {
        object(json!({
            "metadata": {"name": "c"},
            "spec": {"template": {"spec": {"containers": [
                {"image": image, "command": [command]}]}}},
        }))
    }

    fn versions(controller: &str, webhook: &str) -> Versions {
        let ours = deployment(controller, "/k0smotron-controller");
        let theirs = deployment(webhook, "/k0smotron-webhook");
        Versions {
            client: "0.2.0".into(),
            kubernetes: Some("v1.36.3".into()),
            api: Some(vec!["v1beta2".into(), "v1beta1".into()]),
            controller: Some(read(release::CONTROLLER, Some(&ours))),
            webhook: Some(read(release::WEBHOOK, Some(&theirs))),
        }
    }

    #[test]
    fn what_goes_together_is_listed_without_a_warning() {
        let versions = versions("r.example.org/controller:v0.2.1", "r/webhook:0.2.0");
        insta::assert_snapshot!(render(&versions), @r"
        Client:     v0.2.0
        Mothership: Kubernetes v1.36.3
        API:        k0smotron.io v1beta2, v1beta1
        Controller: v0.2.1
        Webhook:    v0.2.0
        ");
        assert_eq!(warnings(&versions), Vec::<String>::new());
    }

    #[test]
    fn a_tag_that_is_no_version_is_shown_and_not_compared() {
        let versions = versions("c:latest", "w:0.2.0");
        assert!(render(&versions).contains("Controller: latest\n"));
        assert_eq!(warnings(&versions), Vec::<String>::new());
    }

    #[test]
    fn a_minor_version_apart_is_warned_about_with_what_to_do() {
        let older = warnings(&versions("c:0.3.0", "w:0.3.0"));
        assert_eq!(older.len(), 1);
        assert!(older[0].ends_with("get the plugin of v0.3.0"), "{older:?}");
        let newer = warnings(&versions("c:0.1.4", "w:0.1.4"));
        assert!(newer[0].contains("kubectl k0smotron install"), "{newer:?}");
        let apart = warnings(&versions("c:0.2.0", "w:0.1.0"));
        assert_eq!(apart.len(), 1);
        assert!(apart[0].starts_with("the webhook (v0.1.0)"), "{apart:?}");
    }

    #[test]
    fn what_is_missing_or_hidden_or_somebody_elses_is_said() {
        let theirs = deployment("quay.io/k0sproject/k0smotron:v1.10.0", "/manager");
        let hidden = Error::Forbidden {
            attempt: "get Deployment k0smotron/k0smotron-webhook".into(),
            answer: "deployments is forbidden".into(),
        };
        let mut versions = Versions {
            controller: Some(read(release::CONTROLLER, Some(&theirs))),
            webhook: Some(Part {
                problem: Some(hidden.to_string()),
                ..Part::default()
            }),
            api: Some(Vec::new()),
            ..versions("c:0.1.0", "w:0.1.0")
        };
        insta::assert_snapshot!(render(&versions), @r"
        Client:     v0.2.0
        Mothership: Kubernetes v1.36.3
        API:        k0smotron.io is not installed
        Controller: v1.10.0 (it belongs to another product)
        Webhook:    no permission to get Deployment k0smotron/k0smotron-webhook: deployments is forbidden
        ");
        assert_eq!(warnings(&versions), Vec::<String>::new());
        versions.controller = Some(read(release::CONTROLLER, None));
        assert!(
            render(&versions).contains("Controller: not installed: there is no Deployment"),
            "{versions:?}"
        );
    }
}
