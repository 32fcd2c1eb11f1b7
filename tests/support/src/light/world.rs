//! A light mothership on which the product is installed as a user would install it, less its pods:
//! there is no node to run them.

use std::ffi::OsStr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use mothership::components::Components;
use mothership::progress::Progress;
use mothership::{Access, Light, LightOptions, image, paths};
use serde_json::json;

use super::process::Process;
use super::rights;
use super::scene::Scene;
use super::webhook::Place;
use crate::kubectl::kubectl as run_kubectl;
use crate::runner;

/// As the README installs it.
pub const PLAIN: (&str, &str) = ("--filename", "deploy/install.yaml");

/// Applies a file or an overlay of the repository, with the kubectl that comes back.
pub async fn install(
    light: &Light,
    (flag, path): (&str, &str),
    namespace: Option<&str>,
) -> Result<PathBuf> {
    let kubectl = Components::light(&Progress::new())?
        .path("kubectl")?
        .to_owned();
    let kubeconfig = light.admin_kubeconfig()?;
    if let Some(namespace) = namespace {
        run_kubectl(&kubectl, &kubeconfig, &["create", "namespace", namespace]).await?;
    }
    let install = paths::workspace().join(path);
    let apply: [&OsStr; 4] = [
        "apply".as_ref(),
        "--server-side".as_ref(),
        flag.as_ref(),
        install.as_ref(),
    ];
    run_kubectl(&kubectl, &kubeconfig, &apply).await?;
    Ok(kubectl)
}

/// From now on nobody refuses or changes what is submitted.
pub async fn disregard_webhook(admin: &Client) -> Result<()> {
    let gone = DeleteParams::default();
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(admin.clone());
    validating.delete("k0smotron", &gone).await?;
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(admin.clone());
    mutating.delete("k0smotron", &gone).await?;
    Ok(())
}

/// The mothership that a suite runs on.
pub struct World {
    light: Light,
    admin: Client,
    program: PathBuf,
    kubectl: PathBuf,
    place: Place,
    // Dropped before the API server that it watches.
    webhook: Option<Process>,
    dir: PathBuf,
    scenes: AtomicUsize,
}

impl World {
    /// Builds the product, starts a mothership, applies `deploy/install.yaml` and starts a webhook.
    pub async fn start() -> Result<Self> {
        let mut world = Self::without_webhook().await?;
        world.webhook = Some(world.place.start(&[]).await?);
        Ok(world)
    }

    /// The same with nobody who refuses or changes what is submitted.
    pub async fn without_admission() -> Result<Self> {
        let world = Self::without_webhook().await?;
        disregard_webhook(&world.admin).await?;
        Ok(world)
    }

    /// The same without a webhook: whoever starts one decides when and how.
    pub async fn without_webhook() -> Result<Self> {
        Self::installed(PLAIN, None, false).await
    }

    /// That with room for thousands of cases.
    pub async fn large() -> Result<Self> {
        Self::installed(PLAIN, None, true).await
    }

    /// The same from an overlay that needs a namespace of this name.
    pub async fn overlay(path: &str, namespace: &str) -> Result<Self> {
        let mut world = Self::installed(("--kustomize", path), Some(namespace), false).await?;
        world.webhook = Some(world.place.start(&[]).await?);
        Ok(world)
    }

    async fn installed(what: (&str, &str), namespace: Option<&str>, large: bool) -> Result<Self> {
        let (program, webhook) = tokio::task::spawn_blocking(|| {
            let progress = Progress::new();
            anyhow::Ok((image::controller(&progress)?, image::webhook(&progress)?))
        })
        .await??;
        let dir = tempfile::Builder::new()
            .prefix("mothership-suite-")
            .tempdir()
            .context("making a temporary folder")?
            .keep();
        let light = Light::start(LightOptions {
            dir: Some(dir.clone()),
            // As some distributions have it: who changes an owner needs a right to delete.
            api_flags: vec![
                "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement"
                    .to_owned(),
            ],
            large,
            ..LightOptions::default()
        })
        .await?;
        let kubectl = install(&light, what, namespace).await?;
        let admin = light.admin().await?;
        let place = Place::prepare(Access::clone(&light), admin.clone(), webhook).await?;
        Ok(Self {
            admin,
            light,
            program,
            kubectl,
            place,
            webhook: None,
            dir,
            scenes: AtomicUsize::new(0),
        })
    }
}

impl World {
    /// An administrator's client.
    pub fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// A client of somebody else's.
    pub async fn client(&self, user: &str) -> Result<Client> {
        self.light.client(user, &[]).await
    }

    /// The controller as it was built.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Gives a user the rights of the controller as it is shipped.
    pub async fn grant(&self, user: &str) -> Result<()> {
        rights::grant(&self.admin, "k0smotron-controller-manager", user).await
    }

    /// Gives a user leases of every namespace, so that many can compete beside each other.
    pub async fn grant_leases(&self, user: &str) -> Result<()> {
        let name = format!("leases-{user}");
        let role: ClusterRole = serde_json::from_value(json!({
            "metadata": {"name": name},
            "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                "verbs": ["get", "create", "update", "patch"]}],
        }))?;
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }))?;
        let create = PostParams::default();
        Api::all(self.admin.clone()).create(&create, &role).await?;
        Api::all(self.admin.clone())
            .create(&create, &binding)
            .await?;
        Ok(())
    }

    /// A new namespace to work in, for a user who has its rights already.
    pub async fn space(&self, namespace: &str, user: &str) -> Result<Scene> {
        let body: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
        Api::all(self.admin.clone())
            .create(&PostParams::default(), &body)
            .await
            .context("creating a namespace")?;
        Ok(self.scene_in(namespace, user))
    }

    /// A namespace that is there already, to work in for a user who has its rights.
    pub fn scene_in(&self, namespace: &str, user: &str) -> Scene {
        Scene {
            access: Access::clone(&self.light),
            admin: self.admin.clone(),
            namespace: namespace.to_owned(),
            user: user.to_owned(),
            place: self.place.clone(),
            program: self.program.clone(),
            kubectl: self.kubectl.clone(),
            case: namespace.to_owned(),
            told: Mutex::default(),
        }
    }

    /// A webhook with the arguments that it is installed with.
    pub async fn start_webhook(&self) -> Result<Process> {
        self.place.start(&[]).await
    }

    /// The webhook as it was built.
    pub fn webhook_program(&self) -> &Path {
        self.place.program()
    }
}

/// The same with another pace: for cases that take longer, or the machine for themselves.
pub struct Paced<const AT_ONCE: usize, const SECONDS: u64>(pub World);

impl<const AT_ONCE: usize, const SECONDS: u64> runner::World for Paced<AT_ONCE, SECONDS> {
    type Scene = Scene;
    const AT_ONCE: usize = AT_ONCE;
    const LIMIT: Duration = Duration::from_secs(SECONDS);

    async fn scene(&self, case: &str) -> Result<impl Deref<Target = Scene>> {
        self.0.scene(case).await
    }

    async fn end(self, well: bool) -> Result<()> {
        self.0.end(well).await
    }
}

impl runner::World for World {
    type Scene = Scene;
    // Most of their time they wait.
    const AT_ONCE: usize = 4;
    const LIMIT: Duration = Duration::from_secs(200);

    /// A namespace for one case, and a user with the rights of the shipped roles and no more.
    async fn scene(&self, case: &str) -> Result<impl Deref<Target = Scene>> {
        let number = self.scenes.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("case-{number}");
        let mut scene = self
            .space(&namespace, &format!("controller-{number}"))
            .await?;
        scene.case = case.to_owned();
        for user in scene.users() {
            self.grant(&user).await?;
        }
        Ok(Box::new(scene))
    }

    /// Its folder goes only when there is nothing in it to read.
    async fn end(self, well: bool) -> Result<()> {
        drop(self.webhook);
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
