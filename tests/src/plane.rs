//! The control plane that both levels share: etcd, API server, controller manager.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::access::{Access, is_ready};
use crate::audit;
use crate::components::Components;
use crate::pki::{self, Authority, Leaf};
use crate::supervisor::{Service, Supervisor};

/// How much of its heap a program may let lie, in percent, before it collects it.
const GROWTH: &str = "400";

/// Where its parts listen and what they serve.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub dir: PathBuf,
    /// The API server's address, for others and in its certificate.
    pub address: Ipv4Addr,
    pub ports: Ports,
    /// Range of Service addresses; the API server's own is the first in it.
    pub services: String,
    /// Without it etcd does not wait for the disk: quicker, and wrong for a benchmark of latency.
    pub fsync: bool,
    /// Whether it is to hold hundreds of thousands of objects.
    pub large: bool,
    /// Extra flags of the API server.
    pub api_flags: Vec<String>,
    /// Extra flags of the controller manager.
    pub manager_flags: Vec<String>,
}

/// TCP ports of a control plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub etcd: u16,
    pub etcd_peer: u16,
    pub api: u16,
    pub manager: u16,
}

impl Plane {
    pub(crate) fn access(&self) -> Access {
        Access::new(
            &self.dir,
            format!("https://{}:{}", self.address, self.ports.api),
        )
    }

    fn pki(&self, file: &str) -> String {
        self.dir.join("pki").join(file).display().to_string()
    }

    /// Makes folders, certificates and configuration files.
    pub(crate) fn prepare(&self, service_address: Ipv4Addr) -> Result<()> {
        for folder in ["pki", "log", "audit", "etcd", "kubeconfig"] {
            let path = self.dir.join(folder);
            std::fs::create_dir_all(&path)
                .with_context(|| format!("creating {}", path.display()))?;
        }
        let pki = self.dir.join("pki");
        let ca = Authority::create(&pki, "ca")?;
        Authority::create(&pki, "front-proxy-ca")?
            .issue(&Leaf {
                common_name: "front-proxy-client",
                ..Leaf::default()
            })?
            .save(&pki, "front-proxy-client")?;
        ca.issue(&Leaf {
            common_name: "kube-apiserver",
            names: &[
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ],
            addresses: &[
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V4(self.address),
                IpAddr::V4(service_address),
            ],
            ..Leaf::default()
        })?
        .save(&pki, "apiserver")?;
        ca.issue(&Leaf {
            common_name: "kube-apiserver-kubelet-client",
            organizations: &["system:masters"],
            ..Leaf::default()
        })?
        .save(&pki, "apiserver-kubelet-client")?;
        pki::service_account_key(&pki)?;
        std::fs::write(self.dir.join("audit-policy.yaml"), audit::POLICY)
            .context("writing the audit policy")?;
        self.access()
            .kubeconfig("system:kube-controller-manager", &[])?;
        Ok(())
    }

    fn etcd(&self, program: &Path) -> Service {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        Service::new(&self.dir, "etcd", program)
            .flag("name", "mothership")
            .flag("data-dir", self.dir.join("etcd").display())
            .flag("listen-client-urls", &client)
            .flag("advertise-client-urls", &client)
            .flag("listen-peer-urls", &peer)
            .flag("initial-advertise-peer-urls", &peer)
            .flag("initial-cluster", format!("mothership={peer}"))
            .flag("unsafe-no-fsync", !self.fsync)
            // All versions of five minutes are kept.
            .flag(
                "quota-backend-bytes",
                if self.large { 16_u64 << 30 } else { 2 << 30 },
            )
            .flag("log-level", "warn")
            .env("GOGC", GROWTH)
    }

    fn api_server(&self, program: &Path) -> Service {
        // Its heap is small, and is collected again and again: with Go's default a quarter of
        // its time goes there, on cores that it shares with what it is there to test. What comes
        // near its limit collects without end.
        let (growth, memory) = if self.large {
            ("400", "8GiB")
        } else {
            ("1000", "1GiB")
        };
        Service::new(&self.dir, "kube-apiserver", program)
            .env("GOGC", growth)
            .env("GOMEMLIMIT", memory)
            .flag(
                "etcd-servers",
                format!("http://127.0.0.1:{}", self.ports.etcd),
            )
            .flag("secure-port", self.ports.api)
            .flag("tls-cert-file", self.pki("apiserver.crt"))
            .flag("tls-private-key-file", self.pki("apiserver.key"))
            .flag("client-ca-file", self.pki("ca.crt"))
            .flag(
                "requestheader-client-ca-file",
                self.pki("front-proxy-ca.crt"),
            )
            .flag("requestheader-allowed-names", "front-proxy-client")
            .flag("requestheader-extra-headers-prefix", "X-Remote-Extra-")
            .flag("requestheader-group-headers", "X-Remote-Group")
            .flag("requestheader-username-headers", "X-Remote-User")
            .flag("proxy-client-cert-file", self.pki("front-proxy-client.crt"))
            .flag("proxy-client-key-file", self.pki("front-proxy-client.key"))
            .flag(
                "kubelet-client-certificate",
                self.pki("apiserver-kubelet-client.crt"),
            )
            .flag(
                "kubelet-client-key",
                self.pki("apiserver-kubelet-client.key"),
            )
            .flag("kubelet-preferred-address-types", "InternalIP")
            .flag(
                "service-account-issuer",
                "https://kubernetes.default.svc.cluster.local",
            )
            .flag("service-account-key-file", self.pki("sa.pub"))
            .flag("service-account-signing-key-file", self.pki("sa.key"))
            .flag("service-cluster-ip-range", &self.services)
            .flag("authorization-mode", "Node,RBAC")
            .flag("enable-admission-plugins", "NodeRestriction")
            .flag("enable-bootstrap-token-auth", true)
            .flag("allow-privileged", true)
            .flag("profiling", false)
            .flag(
                "audit-policy-file",
                self.dir.join("audit-policy.yaml").display(),
            )
            .flag("audit-log-path", self.access().audit().path().display())
            .flag("audit-log-format", "json")
            .flag("audit-log-maxsize", 0)
            .flag("audit-log-mode", "blocking")
            .args(self.api_flags.iter().cloned())
    }

    fn controller_manager(&self, program: &Path) -> Service {
        let kubeconfig = self
            .dir
            .join("kubeconfig")
            .join("system_kube-controller-manager.yaml");
        Service::new(&self.dir, "kube-controller-manager", program)
            .flag("kubeconfig", kubeconfig.display())
            .flag("authentication-kubeconfig", kubeconfig.display())
            .flag("authorization-kubeconfig", kubeconfig.display())
            .flag(
                "authorization-always-allow-paths",
                "/healthz,/readyz,/livez,/metrics",
            )
            .flag("bind-address", "127.0.0.1")
            .flag("secure-port", self.ports.manager)
            .flag("leader-elect", false)
            .flag("root-ca-file", self.pki("ca.crt"))
            .flag("cluster-signing-cert-file", self.pki("ca.crt"))
            .flag("cluster-signing-key-file", self.pki("ca.key"))
            .flag("service-account-private-key-file", self.pki("sa.key"))
            .flag("use-service-account-credentials", true)
            .env("GOGC", GROWTH)
            .flag("kube-api-qps", 500)
            .flag("kube-api-burst", 1000)
            .flag("profiling", false)
            .args(self.manager_flags.iter().cloned())
    }

    /// Starts all three and waits until the API server is ready and the controller manager works.
    pub(crate) async fn start(
        &self,
        supervisor: &Supervisor,
        components: &Components,
    ) -> Result<()> {
        supervisor.run(self.etcd(components.path("etcd")?)).await?;
        supervisor
            .run(self.api_server(components.path("kube-apiserver")?))
            .await?;
        let client = self.access().admin().await?;
        supervisor
            .until("the API server", Duration::from_secs(60), async || {
                is_ready(&client).await
            })
            .await?;
        // Before the API server is ready it would only wait, in steps of a second.
        supervisor
            .run(self.controller_manager(components.path("kube-controller-manager")?))
            .await?;
        let accounts =
            kube::Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(client, "default");
        supervisor
            .until(
                "the controller manager",
                Duration::from_secs(60),
                async || accounts.get("default").await.is_ok(),
            )
            .await
    }
}
