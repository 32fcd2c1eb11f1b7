//! Kubeconfigs, written by hand: their form is part of what the stand-in has to look like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::pki::Issued;

/// A kubeconfig with an embedded client certificate.
pub fn with_certificate(
    context: &str,
    server: &str,
    ca: &str,
    user: &str,
    issued: &Issued,
) -> String {
    let credentials = format!(
        "client-certificate-data: {}\n    client-key-data: {}",
        STANDARD.encode(&issued.certificate),
        STANDARD.encode(&issued.key)
    );
    render(context, server, ca, user, &credentials)
}

/// A kubeconfig with a bearer token.
pub fn with_token(context: &str, server: &str, ca: &str, user: &str, token: &str) -> String {
    render(context, server, ca, user, &format!("token: {token}"))
}

/// A kubeconfig whose certificate and key are in one file that changes as it is renewed.
pub fn with_certificate_file(server: &str, ca_file: &str, pem_file: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: k0s
  cluster:
    server: {server}
    certificate-authority: {ca_file}
contexts:
- name: k0s
  context:
    cluster: k0s
    user: node
current-context: k0s
users:
- name: node
  user:
    client-certificate: {pem_file}
    client-key: {pem_file}
"
    )
}

fn render(context: &str, server: &str, ca: &str, user: &str, credentials: &str) -> String {
    let ca = STANDARD.encode(ca);
    let (context, user) = (scalar(context), scalar(user));
    format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {ca}
    server: {server}
  name: {context}
contexts:
- context:
    cluster: {context}
    user: {user}
  name: {context}
current-context: {context}
kind: Config
preferences: {{}}
users:
- name: {user}
  user:
    {credentials}
"
    )
}

/// A name as YAML: quoted unless it reads as a plain word.
fn scalar(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '@'))
        && !matches!(
            name.to_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off"
        );
    if plain {
        name.to_owned()
    } else {
        serde_json::Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_yaml_would_misread_are_quoted() {
        let issued = Issued {
            certificate: "c".into(),
            key: "k".into(),
        };
        for user in ["admin", "system:admin", "42", "true", "a b"] {
            let text = with_certificate("k0s", "https://h:1", "ca", user, &issued);
            let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(value["users"][0]["name"], user);
            assert_eq!(value["contexts"][0]["context"]["user"], user);
        }
    }
}
