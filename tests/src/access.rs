//! Ways into an API server of the harness: kubeconfigs and clients, a certificate for each user.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::audit::Audit;
use crate::pki::{self, Authority, Leaf};

/// The user that [`Access::admin`] is in the audit log.
pub const ADMIN: &str = "mothership-admin";

/// The API server of a light or full mothership.
#[derive(Clone, Debug)]
pub struct Access {
    dir: PathBuf,
    server: String,
}

impl Access {
    pub(crate) fn new(dir: &Path, server: String) -> Self {
        Self {
            dir: dir.to_owned(),
            server,
        }
    }

    /// The state folder; logs are in `log/` below it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The API server's URL.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Issues a client certificate for a user in some groups and writes a kubeconfig with it.
    /// Returns the file's path.
    pub fn kubeconfig(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let folder = self.dir.join("kubeconfig");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let name: String = user
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '-' {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let path = folder.join(format!("{name}.yaml"));
        pki::write_private(&path, &self.kubeconfig_text(user, groups)?)?;
        Ok(path)
    }

    /// The same, as text and without a file.
    pub fn kubeconfig_text(&self, user: &str, groups: &[&str]) -> Result<String> {
        let authority = Authority::load(&self.dir.join("pki"), "ca")?;
        let pair = authority.issue(&Leaf {
            common_name: user,
            organizations: groups,
            ..Leaf::default()
        })?;
        let encode = |text: &str| STANDARD.encode(text);
        // JSON is YAML, and every quote and escape is right by construction.
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "mothership",
            "clusters": [{"name": "mothership", "cluster": {
                "server": self.server,
                "certificate-authority-data": encode(authority.cert()),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate-data": encode(&pair.cert),
                "client-key-data": encode(&pair.key),
            }}],
            "contexts": [{"name": "mothership", "context": {
                "cluster": "mothership", "user": user, "namespace": "default",
            }}],
        });
        Ok(serde_json::to_string_pretty(&config)?)
    }

    /// A client for a user in some groups.
    pub async fn client(&self, user: &str, groups: &[&str]) -> Result<kube::Client> {
        let config = Kubeconfig::from_yaml(&self.kubeconfig_text(user, groups)?)?;
        let config =
            kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        kube::Client::try_from(config).context("making a client")
    }

    /// A client that may do everything; [`ADMIN`] in the audit log.
    pub async fn admin(&self) -> Result<kube::Client> {
        self.client(ADMIN, &["system:masters"]).await
    }

    /// The kubeconfig that belongs to it.
    pub fn admin_kubeconfig(&self) -> Result<PathBuf> {
        self.kubeconfig(ADMIN, &["system:masters"])
    }

    /// What the API server was asked.
    pub fn audit(&self) -> Audit {
        Audit::new(&self.dir.join("audit").join("audit.log"))
    }
}

/// Whether the API server says it is ready.
pub(crate) async fn is_ready(client: &kube::Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else {
        return false;
    };
    client.request_text(request).await.is_ok()
}
