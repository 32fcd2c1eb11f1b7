//! Arguments of the webhook.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgAction, Parser};

/// Admission, conversion and policies of hosted k0s control planes.
#[derive(Clone, Debug, Parser)]
#[command(name = "k0smotron-webhook", version)]
pub struct Args {
    /// Address of /mutate, /validate and /convert, over TLS
    #[arg(long, default_value = "0.0.0.0:9443")]
    pub listen: SocketAddr,

    /// Address of /healthz, /readyz and /metrics
    #[arg(long, default_value = "0.0.0.0:8081")]
    pub health_address: SocketAddr,

    /// Namespace of the Services, of the certificate's Secret and of the lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "k0smotron")]
    pub namespace: String,

    /// Name of this replica, one of its own [default: the host name]
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,

    /// Service under which the API server asks for admission and conversion
    #[arg(long, default_value = "k0smotron-webhook")]
    pub service: String,

    /// Secret with the certificate
    #[arg(long, default_value = "k0smotron-webhook-certificate")]
    pub certificate_secret: String,

    /// Make and renew the certificate, and keep caBundle right; otherwise somebody else does
    #[arg(long, action = ArgAction::Set, default_value_t = true, value_name = "BOOL")]
    pub manage_certificates: bool,

    /// Another name or IP address that the certificate shall be good for; may be repeated
    #[arg(long = "san", value_name = "NAME")]
    pub sans: Vec<String>,

    /// How long a certificate authority lasts, for example 8760h
    #[arg(long, default_value = "8760h", value_parser = lifetime)]
    pub authority_lifetime: Duration,

    /// How long a certificate lasts, for example 720h
    #[arg(long, default_value = "720h", value_parser = lifetime)]
    pub leaf_lifetime: Duration,

    /// Name of the lease whose holder renews the certificate and counts what violates policies
    #[arg(long, default_value = "k0smotron-webhook")]
    pub lease_name: String,

    /// Name of the ValidatingWebhookConfiguration and of the MutatingWebhookConfiguration
    #[arg(long, default_value = "k0smotron")]
    pub configuration: String,

    /// How long to serve on after SIGTERM, while the API server learns that this replica goes
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub drain: Duration,

    /// Connections at once; more are closed at once
    #[arg(long, default_value_t = 1024)]
    pub max_connections: u16,

    /// Requests at once; more are answered with 503
    #[arg(long, default_value_t = 256)]
    pub max_requests: u16,

    /// Age from which on a connection is ended with its next answer, so that load spreads anew
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub connection_age: Duration,

    /// What is logged, and how
    #[command(flatten)]
    pub log: runtime::Log,
}

impl Args {
    /// Every name that the certificate has to be good for.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![format!("{}.{}.svc", self.service, self.namespace)];
        for name in &self.sans {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    crds::validation::parse_go_duration(text).map_err(|error| error.to_string())
}

fn lifetime(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        lifetime if lifetime >= Duration::from_secs(5) => Ok(lifetime),
        _ => Err("must be at least 5s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_good_for_the_service_and_for_what_is_asked_besides() {
        let args = Args::parse_from([
            "webhook",
            "--namespace=elsewhere",
            "--san=127.0.0.1",
            "--san=k0smotron-webhook.elsewhere.svc",
        ]);
        assert_eq!(
            args.names(),
            ["k0smotron-webhook.elsewhere.svc", "127.0.0.1",]
        );
    }

    #[test]
    fn lifetimes_that_leave_no_time_to_renew_are_refused() {
        for lifetime in ["4s", "0s", "-1h", "soon"] {
            let args = ["webhook", "--leaf-lifetime", lifetime];
            assert!(Args::try_parse_from(args).is_err(), "{lifetime}");
        }
        assert!(Args::try_parse_from(["webhook", "--manage-certificates=false"]).is_ok());
    }
}
