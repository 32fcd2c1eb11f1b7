//! Arguments of the controller.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;

/// Runs hosted k0s control planes inside this Kubernetes cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "k0smotron-controller", version)]
pub struct Args {
    /// Look after this namespace only [default: all]
    #[arg(long, env = "WATCH_NAMESPACE")]
    pub namespace: Option<String>,

    /// Compete for a lease, so that of several replicas one works
    #[arg(long)]
    pub leader_elect: bool,

    /// Namespace of the lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "k0smotron")]
    pub lease_namespace: String,

    /// Name of the lease
    #[arg(long, default_value = "k0smotron-controller")]
    pub lease_name: String,

    /// Name of this replica, one of its own [default: the host name]
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,

    /// Address of /healthz, /readyz and /metrics
    #[arg(long, default_value = "0.0.0.0:8081")]
    pub health_address: SocketAddr,

    /// Clusters worked on at once
    #[arg(long, default_value_t = 32)]
    pub concurrency: u16,

    /// How long leaf certificates and the kubeconfig last, for example 8760h
    #[arg(long, default_value = "8760h", value_parser = lifetime)]
    pub leaf_lifetime: Duration,

    /// What is logged, and how
    #[command(flatten)]
    pub log: runtime::Log,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    match crds::validation::parse_go_duration(text) {
        Ok(lifetime) if lifetime >= Duration::from_secs(60) => Ok(lifetime),
        Ok(_) => Err("must be at least 1m".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
