//! The webhook as a process, and the shipped configurations pointed at it: all else is as shipped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use mothership::Access;
use serde_json::{Value, json};

use super::process::Process;
use super::{PRODUCT, until};

/// The user that webhooks are: the ServiceAccount that they are installed with.
pub const USER: &str = "system:serviceaccount:k0smotron:k0smotron-webhook";

/// What the API server asks, with the place of the URL in it.
const CALLERS: [(&str, &str, &str); 5] = [
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "k0smotron",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "k0smotron",
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "clusters.k0smotron.io",
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "jointokenrequests.k0smotron.io",
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "clusterpolicies.k0smotron.io",
    ),
];

/// Where webhooks of a mothership listen: the API server is told once.
#[derive(Clone)]
pub struct Place {
    /// Address of admission and conversion.
    pub address: SocketAddr,
    access: Access,
    admin: Client,
    program: PathBuf,
}

fn caller(client: &Client, (version, kind, _): (&str, &str, &str)) -> Result<Api<DynamicObject>> {
    let (group, version) = version.split_once('/').context("GROUP/VERSION")?;
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    resource.plural = format!("{}s", kind.to_lowercase());
    Ok(Api::all_with(client.clone(), &resource))
}

impl Place {
    /// A free port, and the configurations pointed there.
    pub async fn prepare(access: Access, admin: Client, program: PathBuf) -> Result<Self> {
        // Free now; a second later somebody else may have it, and the start fails and says so.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let place = Self {
            address,
            access,
            admin,
            program,
        };
        place.point().await?;
        Ok(place)
    }

    /// The webhook as it was built.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The same place for another build of the webhook.
    #[must_use]
    pub fn with_program(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    /// Replaces the Services in the shipped configurations by a URL, and nothing else.
    pub async fn point(&self) -> Result<()> {
        for which in CALLERS {
            let api = caller(&self.admin, which)?;
            let found = api.get(which.2).await.with_context(|| which.2.to_owned())?;
            let mut patch = Vec::new();
            let mut replace = |path: String, client: &Value| {
                let service = client
                    .get("service")
                    .and_then(|service| service.get("path"));
                if let Some(service) = service.and_then(Value::as_str) {
                    let url = format!("https://{}{service}", self.address);
                    patch.push(json!({"op": "remove", "path": format!("{path}/service")}));
                    patch.push(json!({"op": "add", "path": format!("{path}/url"), "value": url}));
                }
            };
            let webhooks = found.data.get("webhooks").and_then(Value::as_array);
            for (index, webhook) in webhooks.into_iter().flatten().enumerate() {
                if let Some(client) = webhook.get("clientConfig") {
                    replace(format!("/webhooks/{index}/clientConfig"), client);
                }
            }
            let conversion = "/spec/conversion/webhook/clientConfig";
            if let Some(client) = found.data.pointer(conversion) {
                replace(conversion.to_owned(), client);
            }
            let patch: json_patch::Patch = serde_json::from_value(Value::Array(patch))?;
            api.patch(which.2, &PatchParams::default(), &Patch::<()>::Json(patch))
                .await
                .with_context(|| format!("pointing {} at the webhook", which.2))?;
        }
        Ok(())
    }

    /// Takes away what was pointed there, so that it can be installed again: what has a URL cannot
    /// be given a Service by applying the shipped file.
    pub async fn unpoint(&self) -> Result<()> {
        let none = json!({"spec": {"conversion": {"strategy": "None", "webhook": null}}});
        for which in CALLERS {
            let api = caller(&self.admin, which)?;
            if which.1 == "CustomResourceDefinition" {
                api.patch(which.2, &PatchParams::default(), &Patch::Merge(&none))
                    .await?;
            } else {
                api.delete(which.2, &DeleteParams::default()).await?;
            }
        }
        Ok(())
    }

    /// A webhook that answers there, once the API server trusts it.
    pub async fn start(&self, args: &[&str]) -> Result<Process> {
        let process = self.start_only(args).await?;
        self.answers().await?;
        Ok(process)
    }

    /// A webhook that answers there.
    pub async fn start_only(&self, args: &[&str]) -> Result<Process> {
        let kubeconfig = self.access.kubeconfig(USER, &[])?;
        let log = self.access.dir().join("log/webhook.log");
        let listen = format!("--listen={}", self.address);
        let namespace = format!("--namespace={PRODUCT}");
        let mut all = vec![
            listen.as_str(),
            namespace.as_str(),
            "--san=127.0.0.1",
            "--drain=1s",
            "--log=info,webhook=debug,kube_runtime=warn",
        ];
        all.extend(args);
        Process::start("the webhook", &self.program, &kubeconfig, log, &all).await
    }

    /// Waits until the API server gets an answer.
    pub async fn answers(&self) -> Result<Duration> {
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("k0smotron.io", "v1beta2", "Cluster"));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.admin.clone(), "default", &resource);
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let mut probe = DynamicObject::new("probe", &resource);
        probe.data = json!({"spec": {}});
        let ((), took) = until(
            "the API server is answered by the webhook",
            Duration::from_secs(20),
            async || match api.create(&dry_run, &probe).await {
                Ok(_) => Ok(()),
                // A refusal is an answer.
                Err(kube::Error::Api(status)) if status.message.contains("denied the request") => {
                    Ok(())
                }
                Err(error) => Err(error.to_string()),
            },
        )
        .await?;
        Ok(took)
    }
}
