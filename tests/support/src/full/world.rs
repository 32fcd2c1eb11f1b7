//! A full mothership on which the product is installed as a user would install it.

use std::fmt::Write as _;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::Client;
use mothership::components::Components;
use mothership::progress::Progress;
use mothership::{Full, FullOptions, Image, paths};

use crate::kubectl::kubectl;
use crate::runner::{self, Scene, World as _};

/// The controller in the mothership's audit log.
pub const CONTROLLER: &str = "system:serviceaccount:k0smotron:k0smotron-controller-manager";
/// The namespace of the product.
pub const PRODUCT: &str = "k0smotron";

/// The mothership that a suite runs on.
pub struct World {
    /// The mothership itself.
    pub full: Full,
    /// An administrator's client.
    pub client: Client,
    progress: Progress,
    dir: PathBuf,
    kubectl: PathBuf,
}

impl World {
    /// Starts a mothership with the images and applies `deploy/install.yaml`.
    pub async fn start(images: &[Image]) -> Result<Self> {
        let world = Self::without_product(&[&Image::PRODUCT, images].concat()).await?;
        if let Err(error) = world.install().await {
            let around = world.look_around().await;
            world.end(false).await?;
            bail!("{error:#}\n{around}");
        }
        Ok(world)
    }

    /// Starts a mothership with the images and nothing else.
    pub async fn without_product(images: &[Image]) -> Result<Self> {
        let mut wanted = FullOptions::default().images;
        wanted.extend(images);
        // Before anything is there to be left behind.
        mothership::full::check(&wanted)?;
        let dir = tempfile::Builder::new()
            .prefix("mothership-suite-")
            .tempdir()
            .context("making a temporary folder")?
            .keep();
        let options = FullOptions {
            dir: Some(dir.clone()),
            images: wanted,
            ..FullOptions::default()
        };
        let full = Full::start(options).await?;
        let client = full.admin().await?;
        let progress = Progress::new();
        let kubectl = Components::light(&progress)?.path("kubectl")?.to_owned();
        Ok(Self {
            full,
            client,
            progress,
            dir,
            kubectl,
        })
    }

    async fn install(&self) -> Result<()> {
        let file = paths::workspace().join("deploy/install.yaml");
        let file = file.to_str().context("the workspace's path is no text")?;
        self.kubectl(&["apply", "--server-side", "--filename", file])
            .await?;
        for deployment in ["k0smotron-webhook", "k0smotron-controller-manager"] {
            let rollout = format!("rollout status deployment/{deployment} --timeout 2m");
            let mut words = vec!["--namespace", PRODUCT];
            words.extend(rollout.split(' '));
            self.kubectl(&words).await?;
        }
        // The pods are ready; the API server knows the way to them when kube-proxy has caught up.
        let example = paths::workspace().join("crds/examples/clusterip.yaml");
        let example = example
            .to_str()
            .context("the workspace's path is no text")?;
        let dry_run = ["create", "--dry-run=server", "--filename", example];
        super::until("admission", Duration::from_secs(20), async || {
            let tried = self.kubectl(&dry_run).await;
            tried.map(drop).map_err(|error| format!("{error:#}"))
        })
        .await?;
        self.say("the product is installed");
        Ok(())
    }

    /// Prints a line with the time since the start.
    pub fn say(&self, text: impl AsRef<str>) {
        self.progress.say(text);
    }

    /// Runs kubectl as administrator; its standard output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        kubectl(&self.kubectl, &self.full.admin_kubeconfig()?, args).await
    }
}

impl runner::World for World {
    type Scene = Self;
    // They share the nodes, and what runs on them is timed.
    const AT_ONCE: usize = 1;
    const LIMIT: Duration = Duration::from_secs(300);

    async fn scene(&self, _case: &str) -> Result<impl Deref<Target = Self>> {
        Ok(self)
    }

    /// Its folder goes only when there is nothing in it to read.
    async fn end(self, well: bool) -> Result<()> {
        self.full.down().await?;
        if well && std::env::var_os("MOTHERSHIP_KEEP").is_none() {
            std::fs::remove_dir_all(&self.dir)
                .with_context(|| format!("removing {}", self.dir.display()))?;
        } else {
            self.progress
                .say(format!("logs are kept in {}", self.dir.display()));
        }
        Ok(())
    }
}

impl Scene for World {
    async fn look_around(&self) -> String {
        let mut all = String::new();
        for words in [
            "get clusters,jointokenrequests,pods --all-namespaces --output wide",
            "logs --namespace k0smotron --selector control-plane=controller-manager --prefix --tail 25",
            "get events --all-namespaces --field-selector type=Warning",
        ] {
            let args: Vec<&str> = words.split(' ').collect();
            let text = match self.kubectl(&args).await {
                Ok(text) => text,
                Err(error) => format!("{error:#}\n"),
            };
            let _ = writeln!(all, "$ kubectl {words}\n{text}");
        }
        all
    }
}
