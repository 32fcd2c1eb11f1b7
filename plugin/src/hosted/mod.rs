//! The way to a hosted cluster's API: straight to where it is exposed, or through the mothership.

mod connection;
mod tunnel;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use crds::names;
use kube::Client;
use kube::api::DynamicObject;

pub use self::connection::HostedConnection;
pub use self::tunnel::Tunnel;
use crate::error::Error;
use crate::kubeconfig::Access;
use crate::kubeconfig::merge::{Entry, Problem};
use crate::kubeconfig::read::{self, Kubeconfig};
use crate::mothership::client::Connection;
use crate::mothership::{resources, view};
use crate::output::{Structured, structured};
use crate::session::Session;
use crate::{kubeconfig, transport};

/// How long the exposed address may take to answer before the tunnel is taken.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default, Args)]
pub struct ViaArgs {
    /// How to reach the hosted API: at its address (direct), through the mothership's API
    /// (tunnel), or at its address when that answers within two seconds (auto)
    #[arg(long, value_enum, value_name = "WAY", default_value_t)]
    pub via: Via,
    /// Local port of the tunnel; a free one unless given
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Via {
    /// Whichever works.
    #[default]
    Auto,
    /// The address of the kubeconfig.
    Direct,
    /// A port-forward to a control-plane pod.
    Tunnel,
}

/// A hosted cluster that can be talked to for as long as this lives.
#[derive(Debug)]
pub struct Hosted {
    /// A kubeconfig whose server answers from here.
    pub kubeconfig: String,
    pub server: String,
    /// The tunnel, when there is one.
    pub tunnel: Option<Tunnel>,
}

impl Hosted {
    /// Finds the way to a cluster, and opens the tunnel when it leads through one.
    ///
    /// # Errors
    /// [`Error::NotFound`] while there is no kubeconfig, [`Error::Unreachable`] when neither way
    /// leads there, or whatever the mothership answers.
    pub async fn open(
        session: &Session,
        connection: &Connection<'_>,
        cluster: &DynamicObject,
        way: &ViaArgs,
    ) -> Result<Self, Error> {
        let name = cluster.metadata.name.as_deref().unwrap_or_default();
        let place = format!("{}/{name}", connection.namespace);
        let Some(entry) = kubeconfig(session, connection, name).await? else {
            return Err(Error::NotFound {
                attempt: format!("reach the API of cluster {place}"),
                answer: missing(cluster),
                hint: format!(
                    "wait for it: {}",
                    session.kubectl(&format!("k0smotron wait {name}"), &connection.namespace)
                ),
            });
        };
        let server = entry.server().to_owned();
        let inside = view::text(cluster, "/spec/service/type").as_deref() == Some("ClusterIP");
        let direct = match way.via {
            Via::Direct => true,
            Via::Tunnel => false,
            Via::Auto => !inside && is_listening(&entry).await,
        };
        if direct {
            return Ok(Self {
                kubeconfig: entry.to_yaml()?,
                server,
                tunnel: None,
            });
        }
        let opened = Tunnel::open(session, connection, cluster, way.port).await;
        let tunnel = match opened {
            // Both ways were tried, and the first is the one that a person expects.
            Err(error) if way.via == Via::Auto && !inside => {
                return Err(Error::Unreachable {
                    server,
                    cause: format!("it does not answer, and there is no tunnel: {error}"),
                });
            }
            other => other?,
        };
        let server = format!("https://{}", tunnel.address());
        let alone = entry.at(&server).alone(name);
        Ok(Self {
            kubeconfig: structured(Structured::Yaml, &alone)?,
            server,
            tunnel: Some(tunnel),
        })
    }

    /// A client of the hosted API.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`] when its certificates cannot be used.
    pub async fn client(&self, session: &Session) -> Result<Client, Error> {
        let access = access(&self.kubeconfig).await?;
        transport::wary(access, session.global.verbosity).map_err(|error| broken(&error))
    }
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::Kubeconfig {
        message: format!("the kubeconfig of the hosted cluster cannot be used: {error}"),
        hint: "delete its Secret: the controller recreates it".to_owned(),
    }
}

async fn access(kubeconfig: &str) -> Result<Access, Error> {
    let kubeconfig = read::tree(kubeconfig)
        .and_then(|tree| Kubeconfig::new(&tree, Path::new("/")))
        .map_err(|why| broken(&why))?;
    let access = kubeconfig::only(&kubeconfig).await;
    access.map_err(|error| broken(&error))
}

/// What the kubeconfig in a Cluster's Secret says; `None` until there is one. Nobody uses or shows
/// the text itself.
///
/// # Errors
/// [`Error::Kubeconfig`] when there is something else in it, or whatever the mothership answers.
pub async fn kubeconfig(
    session: &Session,
    connection: &Connection<'_>,
    name: &str,
) -> Result<Option<Entry>, Error> {
    let (secret, place) = (names::kubeconfig(name), &connection.namespace);
    let api = connection.api(&resources::secrets());
    let attempt = format!("read the kubeconfig in Secret {place}/{secret}");
    let found = match connection.call(&attempt, || api.get(&secret)).await {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let Some(encoded) = view::text(&found, &format!("/data/{}", names::KUBECONFIG_KEY)) else {
        return Ok(None);
    };
    let decoded = STANDARD.decode(encoded).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let entry = match text.as_deref() {
        Some(text) => Entry::current(text),
        None => Err(Problem::Unusable("it is not text".to_owned())),
    };
    let hint = || {
        let look = session.kubectl(&format!("get secret {secret} -o yaml"), place);
        format!(
            "who may write Secrets in namespace {place} may have changed it: look ({look}), then \
             delete it, and the controller recreates it"
        )
    };
    entry.map(Some).map_err(|problem| Error::Kubeconfig {
        message: format!("the kubeconfig in Secret {place}/{secret} cannot be used: {problem}"),
        hint: hint(),
    })
}

/// Why there is no kubeconfig of a Cluster yet.
pub fn missing(cluster: &DynamicObject) -> String {
    view::condition(cluster, "KubeconfigSecretAvailable")
        .filter(|condition| !condition.is_true())
        .map(|condition| condition.summary())
        .or_else(|| view::obstacle(cluster))
        .unwrap_or_else(|| {
            let name = cluster.metadata.name.as_deref().unwrap_or_default();
            format!(
                "there is no kubeconfig in Secret {}",
                names::kubeconfig(name)
            )
        })
}

/// Whether something listens there, by the environment's proxy where there is one.
async fn is_listening(entry: &Entry) -> bool {
    let looks = async {
        let access = access(&entry.to_yaml()?).await?;
        Ok::<_, Error>(transport::is_listening(&access).await)
    };
    matches!(tokio::time::timeout(PATIENCE, looks).await, Ok(Ok(true)))
}
