//! Which commands of which Go module become which programs.

/// The Kubernetes version that the module `components/kubernetes` pins.
const KUBERNETES: &str = "v1.36.3";

/// A version of k0s that images and workers can have.
///
/// Both are built from the one Kubernetes module; only the version string that is linked into the
/// hosted parts differs. That is enough for upgrades to show in `/version` and in the nodes'
/// kubelet version, and says nothing about two real releases working side by side.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum K0sVersion {
    /// `v1.36.3+k0s.2`, what the product installs by default.
    #[default]
    Current,
    /// `v1.36.2+k0s.0`, to upgrade from and to fall back to.
    Previous,
}

impl K0sVersion {
    /// Both, the default one first.
    pub const ALL: [Self; 2] = [Self::Current, Self::Previous];

    /// As `k0s version` prints it.
    pub fn release(self) -> &'static str {
        match self {
            Self::Current => "v1.36.3+k0s.2",
            Self::Previous => "v1.36.2+k0s.0",
        }
    }

    /// As an image tag, in which `+` is not allowed.
    pub fn tag(self) -> String {
        self.release().replace('+', "-")
    }

    /// As the hosted API server reports it in `/version`.
    pub fn git_version(self) -> &'static str {
        match self {
            Self::Current => "v1.36.3+k0s",
            Self::Previous => "v1.36.2+k0s",
        }
    }
}

/// One build of one Go module.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Module {
    /// etcd and etcdctl 3.7.1.
    Etcd,
    /// Kubernetes under its own version string.
    Kubernetes,
    /// The same Kubernetes under the version string of a k0s release.
    Hosted(K0sVersion),
    /// konnectivity's server and agent.
    Konnectivity,
    /// containerd 2, its shim and ctr.
    Containerd,
    /// `CoreDNS`.
    Coredns,
}

/// A Go package and the name its program gets here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command {
    pub package: &'static str,
    pub program: &'static str,
}

const fn command(package: &'static str, program: &'static str) -> Command {
    Command { package, program }
}

const ETCD: &[Command] = &[
    command("go.etcd.io/etcd/server/v3", "etcd"),
    command("go.etcd.io/etcd/etcdctl/v3", "etcdctl"),
];
const KUBERNETES_ALL: &[Command] = &[
    command("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
    command(
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-controller-manager",
    ),
    command("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
    command("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
    command("k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"),
    command("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
];
const KUBERNETES_HOSTED: &[Command] = &[
    command("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
    command(
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-controller-manager",
    ),
    command("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
    command("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
];
const KONNECTIVITY: &[Command] = &[
    command(
        "sigs.k8s.io/apiserver-network-proxy/cmd/server",
        "konnectivity-server",
    ),
    command(
        "sigs.k8s.io/apiserver-network-proxy/cmd/agent",
        "konnectivity-agent",
    ),
];
const CONTAINERD: &[Command] = &[
    command(
        "github.com/containerd/containerd/v2/cmd/containerd",
        "containerd",
    ),
    command(
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "containerd-shim-runc-v2",
    ),
    command("github.com/containerd/containerd/v2/cmd/ctr", "ctr"),
];
const COREDNS: &[Command] = &[command("github.com/coredns/coredns", "coredns")];

macro_rules! module_files {
    ($folder:literal) => {
        (
            include_str!(concat!("../../components/", $folder, "/go.mod")),
            include_str!(concat!("../../components/", $folder, "/go.sum")),
        )
    };
}

impl Module {
    /// Every build there is.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::Kubernetes,
        Self::Containerd,
        Self::Coredns,
        Self::Konnectivity,
        Self::Hosted(K0sVersion::Current),
        Self::Hosted(K0sVersion::Previous),
    ];

    /// The name in progress lines and in the cache folder.
    pub fn name(self) -> String {
        match self {
            Self::Etcd => "etcd".to_owned(),
            Self::Kubernetes => format!("kubernetes-{KUBERNETES}"),
            Self::Hosted(version) => format!("kubernetes-{}", version.git_version()),
            Self::Konnectivity => "konnectivity".to_owned(),
            Self::Containerd => "containerd".to_owned(),
            Self::Coredns => "coredns".to_owned(),
        }
    }

    pub(crate) fn commands(self) -> &'static [Command] {
        match self {
            Self::Etcd => ETCD,
            Self::Kubernetes => KUBERNETES_ALL,
            Self::Hosted(_) => KUBERNETES_HOSTED,
            Self::Konnectivity => KONNECTIVITY,
            Self::Containerd => CONTAINERD,
            Self::Coredns => COREDNS,
        }
    }

    /// The contents of `go.mod` and `go.sum`.
    pub(crate) fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::Etcd => module_files!("etcd"),
            Self::Kubernetes | Self::Hosted(_) => module_files!("kubernetes"),
            Self::Konnectivity => module_files!("konnectivity"),
            Self::Containerd => module_files!("containerd"),
            Self::Coredns => module_files!("coredns"),
        }
    }

    /// Linker flags. Without the version Kubernetes calls itself v0.0.0, which clients refuse.
    pub(crate) fn ldflags(self) -> String {
        let version = match self {
            Self::Kubernetes => KUBERNETES,
            Self::Hosted(version) => version.git_version(),
            _ => return "-s -w".to_owned(),
        };
        let set = "-X k8s.io/component-base/version";
        format!("-s -w {set}.gitVersion={version} {set}.gitMajor=1 {set}.gitMinor=36")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_release_without_a_plus() {
        assert_eq!(K0sVersion::Current.tag(), "v1.36.3-k0s.2");
    }

    #[test]
    fn the_linked_version_is_the_module_s_version() {
        let (go_mod, _) = Module::Kubernetes.files();
        assert!(go_mod.contains(&format!("k8s.io/kubernetes {KUBERNETES}")));
    }

    #[test]
    fn every_release_starts_with_the_version_its_parts_report() {
        for version in K0sVersion::ALL {
            assert!(version.release().starts_with(version.git_version()));
        }
    }
}
