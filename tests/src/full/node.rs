//! The node: containerd, kubelet, kube-proxy, and what serves the whole cluster beside them.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::NODE;
use crate::access::Access;
use crate::components::Components;
use crate::image::PAUSE;
use crate::machine::net::Range;
use crate::pki::{Authority, Leaf};
use crate::requirements;
use crate::supervisor::{Service, Supervisor};

const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
const CNI_PLUGINS: &str = "/usr/lib/cni";

pub(super) struct Node<'a> {
    dir: &'a Path,
    range: Range,
    components: &'a Components,
}

/// A network in which every pod has a link of its own to the node, so that everything between
/// pods is routed and passes the node's firewall rules, with or without `br_netfilter`.
pub(crate) fn cni(subnet: &str) -> Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": subnet}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": "/run/cni-addresses",
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    }))?)
}

impl<'a> Node<'a> {
    pub(super) fn new(dir: &'a Path, range: Range, components: &'a Components) -> Self {
        Self {
            dir,
            range,
            components,
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let folder = self.dir.join("config");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    fn service(&self, name: &str) -> Result<Service> {
        let program = self.components.path(name)?;
        let bin = program.parent().unwrap_or_else(|| Path::new("/")).display();
        // containerd finds its shim, kubelet and kube-proxy find iptables and mount here.
        let path = format!("{bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        Ok(Service::new(self.dir, name, program).env("PATH", path))
    }

    pub(super) async fn start_containerd(&self, supervisor: &Supervisor) -> Result<()> {
        let runc = requirements::find("runc").context("runc is not installed")?;
        // Without CAP_SYS_RESOURCE a process may not lower anybody's OOM score.
        let config = format!(
            r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE}"

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "/etc/cni/net.d"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{}"
SystemdCgroup = false
"#,
            runc.display()
        );
        let config = self.write("containerd.toml", &config)?;
        supervisor
            .run(
                self.service("containerd")?
                    .flag("config", config.display())
                    .flag("log-level", "info"),
            )
            .await?;
        // Its /run is the machine's own, seen from here through process 1; the name of its socket
        // is enough to know that it listens, and ctr waits for the rest.
        let machine = super::machine_dir(self.dir);
        let socket = crate::machine::init_process(&machine)
            .map(|init| PathBuf::from(format!("/proc/{}/root{CONTAINERD_SOCKET}", init.pid)));
        supervisor
            .until("containerd", Duration::from_secs(60), async || {
                socket.as_ref().is_some_and(|socket| socket.exists())
            })
            .await
    }

    /// Scheduler, kubelet, kube-proxy and DNS; the API server is ready.
    pub(super) async fn start_rest(&self, supervisor: &Supervisor, access: &Access) -> Result<()> {
        for service in [
            self.kubelet(access)?,
            self.proxy(access)?,
            self.scheduler(access)?,
            self.dns(access)?,
        ] {
            supervisor.run(service).await?;
        }
        let dns = SocketAddr::new(IpAddr::V4(self.range.node()), 53);
        supervisor
            .until("CoreDNS", Duration::from_secs(60), async || {
                tokio::net::TcpStream::connect(dns).await.is_ok()
            })
            .await
    }

    fn kubelet(&self, access: &Access) -> Result<Service> {
        let pki = self.dir.join("pki");
        Authority::load(&pki, "ca")?
            .issue(&Leaf {
                common_name: NODE,
                names: &[NODE],
                addresses: &[IpAddr::V4(self.range.node())],
                ..Leaf::default()
            })?
            .save(&pki, "kubelet-server")?;
        let kubeconfig = access.kubeconfig(&format!("system:node:{NODE}"), &["system:nodes"])?;
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": false,
            "failSwapOn": false,
            "enforceNodeAllocatable": [],
            "evictionHard": eviction(),
            // Nothing that was imported can be pulled again.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "maxPods": 500,
            "serializeImagePulls": false,
            "clusterDomain": "cluster.local",
            "clusterDNS": [self.range.node()],
            "resolvConf": "/etc/resolv.conf",
            "readOnlyPort": 0,
            "tlsCertFile": pki.join("kubelet-server.crt"),
            "tlsPrivateKeyFile": pki.join("kubelet-server.key"),
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": pki.join("ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            // Its default of 50 events a second would slow down bursts of pods.
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
        });
        let config = self.write("kubelet.yaml", &serde_json::to_string_pretty(&config)?)?;
        Ok(self
            .service("kubelet")?
            .flag("config", config.display())
            .flag("kubeconfig", kubeconfig.display())
            .flag("hostname-override", NODE)
            .flag("node-ip", self.range.node())
            .flag("root-dir", "/var/lib/kubelet"))
    }

    fn proxy(&self, access: &Access) -> Result<Service> {
        let kubeconfig = access.kubeconfig("system:kube-proxy", &[])?;
        Ok(self
            .service("kube-proxy")?
            .flag("kubeconfig", kubeconfig.display())
            .flag("hostname-override", NODE)
            .flag("proxy-mode", "iptables")
            .flag("cluster-cidr", self.range.pods())
            // The sizes of the connection table belong to the host and may not be writable.
            .flag("conntrack-max-per-core", 0)
            .flag("conntrack-min", 0)
            .flag("conntrack-tcp-timeout-established", "0s")
            .flag("conntrack-tcp-timeout-close-wait", "0s"))
    }

    fn scheduler(&self, access: &Access) -> Result<Service> {
        let kubeconfig = access.kubeconfig("system:kube-scheduler", &[])?;
        Ok(self
            .service("kube-scheduler")?
            .flag("kubeconfig", kubeconfig.display())
            .flag("authentication-kubeconfig", kubeconfig.display())
            .flag("authorization-kubeconfig", kubeconfig.display())
            .flag("bind-address", "127.0.0.1")
            .flag("leader-elect", false))
    }

    fn dns(&self, access: &Access) -> Result<Service> {
        let kubeconfig = access.kubeconfig("mothership-dns", &["system:masters"])?;
        // The reverse zones answer for headless Services too, which etcd members ask for when
        // they check the names of their peers.
        let corefile = format!(
            r"cluster.local in-addr.arpa ip6.arpa {{
    bind {node}
    errors
    kubernetes {{
        kubeconfig {kubeconfig} mothership
        pods verified
        ttl 1
    }}
}}
. {{
    bind {node}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
",
            node = self.range.node(),
            kubeconfig = kubeconfig.display()
        );
        let corefile = self.write("Corefile", &corefile)?;
        Ok(self
            .service("coredns")?
            .args(["-conf".to_owned(), corefile.display().to_string()]))
    }
}

/// How little may be left: the machine serves others too.
pub(crate) fn eviction() -> serde_json::Value {
    json!({
        "memory.available": "50Mi",
        "nodefs.available": "1%",
        "nodefs.inodesFree": "1%",
        "imagefs.available": "1%",
    })
}
