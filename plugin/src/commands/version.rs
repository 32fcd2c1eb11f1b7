//! `version`.

use clap::Args;
use serde::Serialize;

use crate::{error::Error, output::Structured, resources, session::Session};

/// Flags of `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Only this program's version, without asking the mothership
    #[arg(long)]
    pub client: bool,
    /// Output format; plain lines unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Structured>,
}

/// What is known of the versions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<String>,
    /// The versions of k0smotron.io that the mothership serves; empty when it isn't installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<Vec<String>>,
}

/// Shows versions. The client's is printed even when the mothership does not answer.
///
/// # Errors
/// Whatever kept the mothership from answering.
pub async fn run(session: &Session, args: &VersionArgs) -> Result<(), Error> {
    let client = env!("CARGO_PKG_VERSION").to_owned();
    let mut versions = Versions {
        client,
        kubernetes: None,
        api: None,
    };
    let asked = if args.client {
        Ok(())
    } else {
        ask(session, &mut versions).await
    };
    match args.output {
        Some(format) => session.out.structured(format, &versions)?,
        None => session.out.data(&render(&versions))?,
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
    let groups = connection
        .call(attempt, || client.list_api_groups())
        .await?;
    let served = groups
        .groups
        .iter()
        .filter(|group| group.name == resources::GROUP);
    versions.api = Some(
        served
            .flat_map(|group| &group.versions)
            .map(|v| v.version.clone())
            .collect(),
    );
    Ok(())
}

fn render(versions: &Versions) -> String {
    let client = Some(format!("Client:     v{}\n", versions.client));
    let kubernetes = versions
        .kubernetes
        .as_ref()
        .map(|version| format!("Mothership: Kubernetes {version}\n"));
    let api = versions.api.as_deref().map(|served| match served {
        [] => "API:        k0smotron.io is not installed\n".to_owned(),
        served => format!("API:        k0smotron.io {}\n", served.join(", ")),
    });
    client.into_iter().chain(kubernetes).chain(api).collect()
}
