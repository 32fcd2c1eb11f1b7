//! `create`: a Cluster from flags, a file or answers, and the wait for it.

mod object;
mod questions;
mod set;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use kube::api::DynamicObject;

use self::object::object;
use self::set::Set;
use crate::error::Error;
use crate::flags::{self, DryRun, DryRunArgs};
use crate::mothership::client::{Connection, Submission};
use crate::mothership::{resources, view};
use crate::output::Structured;
use crate::session::Session;
use crate::wait::condition::WaitTarget;
use crate::{duration, kubeconfig};

/// The flags that make a spec, which --from has made already.
const SPEC: [&str; 12] = [
    "version",
    "replicas",
    "service",
    "storage",
    "storage_size",
    "storage_class",
    "persistence",
    "host_path",
    "persistence_size",
    "api_port",
    "konnectivity_port",
    "external_address",
];

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron create demo --wait\n\
    \x20 kubectl k0smotron create prod --replicas 3 --service LoadBalancer --version v1.36.3\n\
    \x20 kubectl k0smotron create demo --dry-run=client -o yaml > demo.yaml\n\
    \x20 kubectl k0smotron create --from demo.yaml --set spec.replicas=3\n\
    \x20 kubectl k0smotron create demo --kubeconfig-merge && kubectl --context demo get nodes\n\n\
    Without a name, in a terminal, it asks for what a person decides.")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct CreateArgs {
    /// Name of the cluster; with --from, in place of the file's
    #[arg(value_parser = flags::object_name)]
    pub name: Option<String>,
    /// Take the Cluster of this file, YAML or JSON, in place of what the flags below say; - is
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = SPEC)]
    pub from: Option<PathBuf>,
    /// Set any field, such as metadata.labels.team=web; may be given several times
    #[arg(long, value_name = "PATH=VALUE", value_parser = <Set as std::str::FromStr>::from_str)]
    pub set: Vec<Set>,
    /// k0s version, such as v1.36.3 or v1.36.3-k0s.2; the product's own choice unless given
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Control-plane pods; 3 survive the loss of any one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub replicas: u16,
    /// How workers reach the control plane
    #[arg(long, value_enum, value_name = "TYPE", default_value_t)]
    pub service: ServiceType,
    /// Where the cluster keeps its state
    #[arg(long, value_enum, value_name = "TYPE", default_value_t)]
    pub storage: StorageType,
    /// Size of each etcd volume, such as 4Gi
    #[arg(long, value_name = "SIZE")]
    pub storage_size: Option<String>,
    /// Storage class of etcd's volumes and of --persistence pvc; the default class unless given
    #[arg(long, value_name = "CLASS")]
    pub storage_class: Option<String>,
    /// Where control-plane pods keep their data directory
    #[arg(long, value_enum, value_name = "TYPE", default_value_t)]
    pub persistence: Persistence,
    /// Directory on the node, for --persistence hostPath
    #[arg(
        long,
        value_name = "DIRECTORY",
        required_if_eq("persistence", "hostPath")
    )]
    pub host_path: Option<String>,
    /// Size of each volume, for --persistence pvc
    #[arg(long, value_name = "SIZE", default_value = "1Gi")]
    pub persistence_size: String,
    /// Port of the hosted API; a NodePort is allocated unless given
    #[arg(long, value_name = "PORT")]
    pub api_port: Option<u16>,
    /// Port of konnectivity; a NodePort is allocated unless given
    #[arg(long, value_name = "PORT")]
    pub konnectivity_port: Option<u16>,
    /// Host or IP under which workers reach the control plane; found out unless given
    #[arg(long, value_name = "ADDRESS")]
    pub external_address: Option<String>,
    /// Wait until the cluster is available
    #[arg(long)]
    pub wait: bool,
    /// Wait as --wait does, and merge its kubeconfig into yours
    #[arg(long)]
    pub kubeconfig_merge: bool,
    /// How long --wait waits; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Whether it is tried out only.
    #[command(flatten)]
    pub trial: DryRunArgs,
    /// Output format; one line unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// How the created object is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The object as JSON.
    Json,
    /// The object as YAML.
    Yaml,
    /// Only the name, with its kind.
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ServiceType {
    /// From inside the mothership only.
    #[value(name = "ClusterIP", alias = "clusterip")]
    ClusterIp,
    /// At a port of every node of the mothership.
    #[default]
    #[value(name = "NodePort", alias = "nodeport")]
    NodePort,
    /// At the address of a load balancer.
    #[value(name = "LoadBalancer", alias = "loadbalancer")]
    LoadBalancer,
}

impl ServiceType {
    const fn name(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum StorageType {
    /// etcd in pods of its own.
    #[default]
    Etcd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Persistence {
    /// Goes with the pod; the cluster's state is in etcd.
    #[default]
    #[value(name = "emptyDir", alias = "emptydir")]
    EmptyDir,
    /// A directory of the node.
    #[value(name = "hostPath", alias = "hostpath")]
    HostPath,
    /// A volume for each pod.
    Pvc,
}

/// Creates a cluster, and waits for it when asked to.
pub async fn run(session: &Session, mut args: CreateArgs) -> Result<(), Error> {
    if args.name.is_none() && args.from.is_none() {
        if !std::io::stdin().is_terminal() {
            return Err(Error::Usage {
                message: "a name is missing".to_owned(),
                hint: "write kubectl k0smotron create NAME, or --from FILE".to_owned(),
            });
        }
        questions::fill_in(session, &mut args).await?;
    }
    let args = &args;
    if args.trial.dry_run == DryRun::Client {
        let namespace = kubeconfig::namespace(&session.global)?;
        let flag = session.global.namespace.as_deref();
        let (name, object) = object(args, flag, &namespace)?;
        session
            .out
            .note(&format!("{} created (dry run)", view::qualified(&name)));
        return print(session, args, &object);
    }
    let mut connection = session.connect().await?;
    let flag = session.global.namespace.as_deref();
    let (name, object) = object(args, flag, &connection.namespace)?;
    if let Some(namespace) = &object.metadata.namespace {
        connection.namespace.clone_from(namespace);
    }
    let server_dry_run = args.trial.dry_run == DryRun::Server;
    let submission = if server_dry_run {
        Submission::Trial
    } else {
        Submission::Create
    };
    let attempt = format!("create cluster {}/{}", connection.namespace, name);
    if !server_dry_run {
        session.leaves(
            format!(
                "cluster {}/{} may have been created",
                connection.namespace, name
            ),
            vec![format!(
                "look: {}",
                again(session, "status", &connection, &name)
            )],
        );
    }
    let created = connection
        .submit(&attempt, &resources::clusters(), &object, submission)
        .await
        .map_err(|error| already(error, session, &connection, &name))?;
    let created = view::without_managed_fields(created);
    if server_dry_run {
        session.out.note(&format!(
            "{} created (server dry run)",
            view::qualified(&name)
        ));
        return print(session, args, &created);
    }
    print(session, args, &created)?;
    session.leaves(
        format!(
            "cluster {}/{} was created and goes on starting",
            connection.namespace, name
        ),
        vec![
            format!(
                "follow it: {}",
                again(session, "status", &connection, &name)
            ),
            format!(
                "take it back: {}",
                again(session, "delete", &connection, &name)
            ),
        ],
    );
    if args.wait || args.kubeconfig_merge {
        available(session, &connection, args, &name).await?;
    }
    if args.kubeconfig_merge {
        super::kubeconfig::merge(session, connection, &name).await?;
    }
    Ok(())
}

/// A command that the user may type next.
fn again(session: &Session, command: &str, connection: &Connection<'_>, name: &str) -> String {
    session.kubectl(
        &format!("k0smotron {command} {name}"),
        &connection.namespace,
    )
}

fn already(error: Error, session: &Session, connection: &Connection<'_>, name: &str) -> Error {
    match error {
        Error::Conflict {
            attempt, answer, ..
        } => Error::Conflict {
            attempt,
            answer,
            hint: format!(
                "choose another name, or look at the one that is there: {}",
                again(session, "status", connection, name)
            ),
        },
        other => other,
    }
}

async fn available(
    session: &Session,
    connection: &Connection<'_>,
    args: &CreateArgs,
    name: &str,
) -> Result<(), Error> {
    let timeout = flags::timeout(args.timeout);
    let waited = WaitTarget::Available.wait(session, connection, name, timeout);
    let Some(cluster) = waited.await? else {
        return Ok(());
    };
    let endpoint = view::text(&cluster, "/status/endpoint");
    session.out.note(&format!(
        "{} is available{}",
        view::qualified(name),
        endpoint
            .map(|endpoint| format!(" at {endpoint}"))
            .unwrap_or_default()
    ));
    session.out.note(&format!(
        "  use it: {} --merge",
        again(session, "kubeconfig", connection, name)
    ));
    session.out.note(&format!(
        "  let a machine join: {}",
        again(session, "join", connection, name)
    ));
    Ok(())
}

fn print(session: &Session, args: &CreateArgs, object: &DynamicObject) -> Result<(), Error> {
    let qualified = view::qualified(object.metadata.name.as_deref().unwrap_or_default());
    let shown = args
        .output
        .or_else(|| (args.trial.dry_run != DryRun::None).then_some(Format::Yaml));
    match shown {
        Some(Format::Json) => session.out.structured(Structured::Json, object),
        Some(Format::Yaml) => session.out.structured(Structured::Yaml, object),
        Some(Format::Name) => session.out.text(&(qualified + "\n")),
        None => session.out.text(&format!("{qualified} created\n")),
    }
}
