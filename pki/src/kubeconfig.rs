//! Kubeconfigs with a client certificate.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::{PemPair, PkiError, PrivateKey};

/// What a kubeconfig shall hold: one cluster, one user, one context, which is the current one.
#[derive(Clone, Debug)]
pub struct KubeconfigRequest<'a> {
    /// The names of its entries.
    pub names: KubeconfigNames,
    /// The URL of the API, such as `https://10.0.0.1:6443`.
    pub server: &'a str,
    /// The authority that signs the API's certificate, in PEM.
    pub ca_certificate: &'a str,
    /// The user's certificate and key.
    pub client: &'a PemPair,
}

/// The names of a kubeconfig's three entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigNames {
    /// Of the cluster.
    pub cluster: String,
    /// Of the user.
    pub user: String,
    /// Of the context that ties the two together.
    pub context: String,
}

impl KubeconfigNames {
    /// The names that upstream gives them in the kubeconfig of a Cluster's administrator.
    pub fn admin(cluster: &str) -> Self {
        Self {
            cluster: format!("{cluster}-k0s"),
            user: format!("{cluster}-admin"),
            context: format!("{cluster}-admin@{cluster}-k0s"),
        }
    }
}

/// Writes the kubeconfig as YAML.
///
/// The same request gives the same text. As the text holds a private key it is a [`PrivateKey`].
pub fn render(request: &KubeconfigRequest<'_>) -> Result<PrivateKey, PkiError> {
    let user = User {
        client_certificate_data: Some(BASE64_STANDARD.encode(&request.client.certificate)),
        client_key_data: Some(BASE64_STANDARD.encode(request.client.key.expose())),
        token: None,
    };
    let document = Kubeconfig::new(&request.names, request.server, request.ca_certificate, user);
    document.to_yaml()
}

/// What a kubeconfig that was written by [`render`] trusts, in PEM, and its user's certificate and key;
/// nothing where it is another.
pub fn read(text: &str) -> Option<(String, PemPair)> {
    let read = parse(text)?;
    let decoded = |text: &str| String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok();
    let ([cluster], [user]) = (read.clusters.as_slice(), read.users.as_slice()) else {
        return None;
    };
    let authority = decoded(&cluster.cluster.certificate_authority_data)?;
    let certificate = decoded(user.user.client_certificate_data.as_deref()?)?;
    let key = PrivateKey::new(decoded(user.user.client_key_data.as_deref()?)?);
    Some((authority, PemPair { certificate, key }))
}

/// A kubeconfig or a token's text, in YAML. Who may write it may use it against its reader: an alias has a
/// short text stand for one of any length, and nobody who writes these for a reason has any.
pub(super) fn parse(text: &str) -> Option<Kubeconfig> {
    let has_aliases = text.contains(['&', '*']);
    (!has_aliases)
        .then(|| serde_saphyr::from_str(text).ok())
        .flatten()
}

/// The file format, as far as it is written here. Unknown fields are refused where it is read:
/// among them are those that name files and programs of the machine it is read on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Kubeconfig {
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    pub clusters: Vec<NamedCluster>,
    pub contexts: Vec<NamedContext>,
    pub current_context: String,
    pub kind: String,
    #[serde(default)]
    pub preferences: BTreeMap<String, String>,
    pub users: Vec<NamedUser>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedCluster {
    pub cluster: Cluster,
    pub name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Cluster {
    pub certificate_authority_data: String,
    pub server: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedContext {
    pub context: Context,
    pub name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    pub cluster: String,
    pub user: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedUser {
    pub name: String,
    pub user: User,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct User {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Drop for User {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.client_key_data.zeroize();
        self.token.zeroize();
    }
}

impl Kubeconfig {
    pub(super) fn new(
        names: &KubeconfigNames,
        server: &str,
        ca_certificate: &str,
        user: User,
    ) -> Self {
        Self {
            api_version: "v1".into(),
            kind: "Config".into(),
            current_context: names.context.clone(),
            preferences: BTreeMap::new(),
            clusters: vec![NamedCluster {
                name: names.cluster.clone(),
                cluster: Cluster {
                    server: server.to_owned(),
                    certificate_authority_data: BASE64_STANDARD.encode(ca_certificate),
                },
            }],
            contexts: vec![NamedContext {
                name: names.context.clone(),
                context: Context {
                    cluster: names.cluster.clone(),
                    user: names.user.clone(),
                },
            }],
            users: vec![NamedUser {
                name: names.user.clone(),
                user,
            }],
        }
    }

    pub(super) fn to_yaml(&self) -> Result<PrivateKey, PkiError> {
        // Base64 of a certificate on its key's line, not as a block below it.
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(self, options)
            .map(PrivateKey::new)
            .map_err(PkiError::Kubeconfig)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn rendered() -> PrivateKey {
        render(&KubeconfigRequest {
            names: KubeconfigNames::admin("prod"),
            server: "https://[fd00::1]:30443",
            ca_certificate: &fixtures::pair("ec-sec1").certificate,
            client: &fixtures::pair("ec-p384"),
        })
        .unwrap()
    }

    #[test]
    fn what_was_rendered_is_read_and_nothing_else() {
        let text = rendered();
        let (authority, client) = read(text.expose()).unwrap();
        assert_eq!(authority, fixtures::pair("ec-sec1").certificate);
        assert_eq!(client, fixtures::pair("ec-p384"));
        for (from, to) in [
            ("client-key-data", "client-key"),
            ("client-certificate-data", "token"),
            (
                "certificate-authority-data: ",
                "certificate-authority-data: '?'#",
            ),
            ("kind: Config", "kind: [Config"),
            ("clusters:", "clusters: &all"),
        ] {
            assert_eq!(read(&text.expose().replacen(from, to, 1)), None, "{to}");
        }
    }

    #[test]
    fn the_entries_have_the_names_that_upstream_gives_them() {
        let yaml = rendered();
        let lines: Vec<&str> = yaml.expose().lines().map(str::trim).collect();
        assert!(
            lines.contains(&"current-context: prod-admin@prod-k0s"),
            "{lines:?}"
        );
        let read: Kubeconfig = serde_saphyr::from_str(yaml.expose()).unwrap();
        assert_eq!(read.clusters[0].name, "prod-k0s");
        assert_eq!(read.users[0].name, "prod-admin");
        assert_eq!(read.contexts[0].context.cluster, "prod-k0s");
        assert_eq!(read.contexts[0].context.user, "prod-admin");
    }

    /// Each value stands on one line, whatever its length: readers of less of YAML than all of it
    /// (`grep`, `awk`) are common with kubeconfigs.
    #[test]
    fn long_values_are_not_folded() {
        let yaml = rendered();
        assert!(
            yaml.expose()
                .lines()
                .all(|line| !line.ends_with(['>', '|', '\\']))
        );
        let data = yaml
            .expose()
            .lines()
            .find_map(|line| line.trim().strip_prefix("certificate-authority-data: "))
            .unwrap();
        let decoded = BASE64_STANDARD.decode(data).unwrap();
        assert_eq!(decoded, fixtures::pair("ec-sec1").certificate.as_bytes());
    }

    #[test]
    fn the_same_request_gives_the_same_text() {
        assert_eq!(rendered(), rendered());
    }

    #[test]
    fn kubes_own_reader_takes_it() {
        let read: kube::config::Kubeconfig = serde_saphyr::from_str(rendered().expose()).unwrap();
        assert_eq!(
            read.clusters[0].cluster.as_ref().unwrap().server.as_deref(),
            Some("https://[fd00::1]:30443")
        );
    }
}
