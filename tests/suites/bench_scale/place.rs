//! A mothership with an operator on it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use mothership::components::Components;
use mothership::failure::tail;
use mothership::progress::Progress;
use mothership::supervisor::Process;
use mothership::{Light, LightOptions};
use serde::Serialize;
use serde_json::json;
use support::faults::operator::{Operator, Program};
use support::light::{PRODUCT, rights, world};

use super::process;

/// What the operator says.
const LOG: &str = "operator.log";

/// The user that the operator is.
const USER: &str = "operator";

/// Addresses of Services: a million, and on loopback. A hosted API that does not run refuses whoever
/// dials it, as it does behind a real Service, and nothing leaves the machine.
const SERVICES: &str = "127.16.0.0/12";

/// What the operator asks, and nothing else: a line for each of its requests costs the API server
/// little, and says what its metrics do not, who has asked.
const POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["operator"]
- level: None
"#;

/// Whose operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    Ours,
    Other,
}

/// What is measured.
pub struct Subject {
    pub who: Who,
    program: Program,
    /// Where it says whether it is ready.
    health: Option<SocketAddr>,
}

impl Subject {
    pub fn ours(program: &Path) -> Result<Self> {
        // Free now; should somebody take it meanwhile, it does not start.
        let health = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let words = [
            program.display().to_string(),
            "--leader-elect".to_owned(),
            format!("--lease-namespace={PRODUCT}"),
            // A container that starts again in its pod has its old name.
            "--identity=scale".to_owned(),
            format!("--health-address={health}"),
        ];
        Ok(Self {
            who: Who::Ours,
            program: Program::new(words.into())?,
            health: Some(health),
        })
    }

    pub fn other(line: &str) -> Result<Self> {
        let words = line.split_whitespace().map(str::to_owned);
        Ok(Self {
            who: Who::Other,
            program: Program::new(words.collect())?,
            health: None,
        })
    }
}

/// A mothership with an operator that has nothing to do yet.
pub struct Place {
    // Dropped before the API server that it watches.
    pub operator: Operator,
    pub admin: Client,
    pub health: Option<SocketAddr>,
    pub light: Light,
    dir: tempfile::TempDir,
}

impl Place {
    pub async fn start(subject: &Subject, components: &Components) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("bench-scale-").tempdir()?;
        let policy = dir.path().join("policy.yaml");
        std::fs::write(&policy, POLICY)?;
        let options = LightOptions {
            dir: Some(dir.path().join("mothership")),
            services: Some(SERVICES.to_owned()),
            // Of a flag that is given twice the second counts.
            api_flags: vec![format!("--audit-policy-file={}", policy.display())],
            large: true,
            ..LightOptions::default()
        };
        let light = Light::start_with(options, components, &Progress::new()).await?;
        world::install(&light, world::PLAIN, None).await?;
        let admin = light.admin().await?;
        world::disregard_webhook(&admin).await?;
        match subject.who {
            Who::Ours => rights::grant(&admin, "k0smotron-controller-manager", USER).await?,
            Who::Other => administrator(&admin).await?,
        }
        let operator = Operator::start(
            &subject.program,
            "",
            light.kubeconfig(USER, &[])?,
            dir.path().join(LOG),
        )?;
        Ok(Self {
            operator,
            admin,
            health: subject.health,
            light,
            dir,
        })
    }

    /// Ends all of it; with `MOTHERSHIP_KEEP` its folder stays.
    pub async fn end(self) -> Result<()> {
        self.operator.kill();
        self.light.down().await?;
        if std::env::var_os("MOTHERSHIP_KEEP").is_some() {
            let dir = self.dir.keep();
            Progress::new().say(format!("logs are kept in {}", dir.display()));
        }
        Ok(())
    }

    /// Its process id; an error with what it said last when it has ended by itself.
    pub fn pid(&self) -> Result<u32> {
        let pid = self.operator.id().context("the operator does not run")?;
        ensure!(
            Process::of(i32::try_from(pid)?).is_some(),
            "the operator has ended: {}",
            tail(&self.dir.path().join(LOG), 3)
        );
        Ok(pid)
    }

    pub async fn namespace(&self, name: &str) -> Result<()> {
        let body: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::all(self.admin.clone())
            .create(&PostParams::default(), &body)
            .await
            .context("creating a namespace")?;
        Ok(())
    }

    /// Makes Clusters with these numbers, many at once.
    pub async fn clusters(
        &self,
        namespace: &str,
        service: &str,
        numbers: std::ops::Range<usize>,
    ) -> Result<()> {
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("k0smotron.io", "v1beta2", "Cluster"));
        let clusters: Api<DynamicObject> =
            Api::namespaced_with(self.admin.clone(), namespace, &resource);
        let spec = json!({"version": "v1.36.3-k0s.2", "service": {"type": service}});
        futures::stream::iter(numbers)
            .map(|number| {
                let mut object = DynamicObject::new(&name(number), &resource);
                object.data = json!({ "spec": spec });
                let clusters = clusters.clone();
                async move { clusters.create(&PostParams::default(), &object).await }
            })
            .buffer_unordered(32)
            .try_for_each(|_| async { Ok(()) })
            .await
            .context("creating a Cluster")
    }

    /// Processor seconds of everybody else, by name.
    pub async fn others(&self) -> Result<Vec<(String, f64)>> {
        let services = self.light.supervisor().status().await?;
        services
            .into_iter()
            .map(|service| Ok((service.name, process::cpu(u32::try_from(service.pid)?)?)))
            .collect()
    }
}

/// The name of a Cluster, which can be found in the names of its children.
pub fn name(number: usize) -> String {
    format!("hcp-{number:05}")
}

/// The number in the name of a Cluster's child.
pub fn number(name: &str) -> Option<usize> {
    let (_, rest) = name.split_once("hcp-")?;
    rest.get(..5)?.parse().ok()
}

async fn administrator(admin: &Client) -> Result<()> {
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "measured"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }))?;
    Api::all(admin.clone())
        .create(&PostParams::default(), &binding)
        .await?;
    Ok(())
}
