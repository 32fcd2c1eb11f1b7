//! A light mothership on which the product is installed as a user would install it, less its pods:
//! there is no node to run them.

use std::ops::Deref;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::Client;
use kube::api::{Api, PostParams};
use mothership::components::Components;
use mothership::progress::Progress;
use mothership::{Access, Light, LightOptions, image, paths};
use serde_json::json;

use super::scene::Scene;
use crate::runner;

/// The namespace of the product, where the lease is.
pub const PRODUCT: &str = "k0smotron";

/// The mothership that a suite runs on.
pub struct World {
    light: Light,
    admin: Client,
    program: PathBuf,
    dir: PathBuf,
    scenes: AtomicUsize,
}

impl World {
    /// Builds the controller, starts a mothership and applies `deploy/install.yaml`.
    pub async fn start() -> Result<Self> {
        let program = tokio::task::spawn_blocking(|| image::controller(&Progress::new())).await??;
        let dir = tempfile::Builder::new()
            .prefix("mothership-suite-")
            .tempdir()
            .context("making a temporary folder")?
            .keep();
        let light = Light::start(LightOptions {
            dir: Some(dir.clone()),
            ..LightOptions::default()
        })
        .await?;
        let kubectl = Components::light(&Progress::new())?
            .path("kubectl")?
            .to_owned();
        let output = tokio::process::Command::new(kubectl)
            .arg("--kubeconfig")
            .arg(light.admin_kubeconfig()?)
            .args(["apply", "--server-side", "--filename"])
            .arg(paths::workspace().join("deploy/install.yaml"))
            .stdin(Stdio::null())
            .output()
            .await
            .context("running kubectl")?;
        if !output.status.success() {
            bail!(
                "installing: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(Self {
            admin: light.admin().await?,
            light,
            program,
            dir,
            scenes: AtomicUsize::new(0),
        })
    }

    /// Binds the shipped roles to a user.
    async fn grant(&self, user: &str) -> Result<()> {
        let subjects =
            json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]);
        let reference = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        for role in [
            "k0smotron-controller-manager",
            "k0smotron-controller-children",
        ] {
            let binding: ClusterRoleBinding = serde_json::from_value(json!({
                "metadata": {"name": format!("{role}-{user}")},
                "roleRef": reference("ClusterRole", role),
                "subjects": subjects,
            }))?;
            Api::all(self.admin.clone())
                .create(&PostParams::default(), &binding)
                .await
                .context("binding a role")?;
        }
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": user},
            "roleRef": reference("Role", "k0smotron-leader-election"),
            "subjects": subjects,
        }))?;
        Api::namespaced(self.admin.clone(), PRODUCT)
            .create(&PostParams::default(), &binding)
            .await
            .context("binding a role")?;
        Ok(())
    }
}

impl runner::World for World {
    type Scene = Scene;
    // Most of their time they wait.
    const AT_ONCE: usize = 4;
    const LIMIT: Duration = Duration::from_secs(100);

    /// A namespace for one case, and a user with the rights of the shipped roles and no more.
    async fn scene(&self, case: &str) -> Result<impl Deref<Target = Scene>> {
        let number = self.scenes.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("case-{number}");
        let body: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
        Api::all(self.admin.clone())
            .create(&PostParams::default(), &body)
            .await
            .context("creating a namespace")?;
        let scene = Scene::new(
            Access::clone(&self.light),
            self.admin.clone(),
            self.program.clone(),
            namespace,
            format!("controller-{number}"),
            case,
        );
        for user in scene.users() {
            self.grant(&user).await?;
        }
        Ok(Box::new(scene))
    }

    /// Its folder goes only when there is nothing in it to read.
    async fn end(self, well: bool) -> Result<()> {
        self.light.down().await?;
        if well && std::env::var_os("MOTHERSHIP_KEEP").is_none() {
            std::fs::remove_dir_all(&self.dir)
                .with_context(|| format!("removing {}", self.dir.display()))?;
        } else {
            Progress::new().say(format!("logs are kept in {}", self.dir.display()));
        }
        Ok(())
    }
}
