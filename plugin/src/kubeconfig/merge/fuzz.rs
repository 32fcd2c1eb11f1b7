//! Kubeconfigs: those of hosted clusters, which anybody may have written who may write Secrets, and
//! the user's own, which must lose nothing.

use serde_json::{Value, json};

use super::tests::SECRET;
use super::{Current, Entry, Owner, Problem, merge, parse, remove};
use crate::escape;

const FIELDS: &[&str] = &[
    "exec",
    "command",
    "sh",
    "apiVersion",
    "client.authentication.k8s.io/v1",
    "auth-provider",
    "tokenFile",
    "/etc/passwd",
    "token-file",
    "client-key",
    "client-certificate",
    "certificate-authority",
    "proxy-url",
    "socks5://a",
    "insecure-skip-tls-verify",
    "username",
    "password",
    "as",
    "impersonate",
    "extensions",
    "server",
    "https://10.0.0.7:31443",
    "http://a",
    "https://a@b",
    "https://a#@b",
    "https://[::1]:1/x",
    "https://a/../b",
    "tls-server-name",
    "namespace",
    "default",
    "token",
    "cluster",
    "user",
    "context",
    "clusters",
    "users",
    "contexts",
    "current-context",
    "name",
    "demo",
    "preferences",
    "kind",
    "List",
    "disable-compression",
    "Q0E=",
    "${HOME}",
    "$(reboot)",
    "`id`",
    "-o",
    "--kubeconfig",
    "k0smotron.io",
];

fn owner() -> Owner {
    Owner {
        cluster: "demo".into(),
        namespace: "team-a".into(),
        mothership: "https://m:6443".into(),
        user: None,
    }
}

/// Only these, and only as texts.
const KEPT: [&str; 18] = [
    "apiVersion",
    "kind",
    "current-context",
    "preferences",
    "clusters",
    "cluster",
    "server",
    "certificate-authority-data",
    "tls-server-name",
    "users",
    "user",
    "client-certificate-data",
    "client-key-data",
    "token",
    "contexts",
    "context",
    "namespace",
    "name",
];

fn harmless(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                assert!(KEPT.contains(&key.as_str()), "{key} is kept");
                harmless(value);
            }
        }
        Value::Array(items) => items.iter().for_each(harmless),
        Value::String(text) => assert!(!text.contains(escape::is_obeyed), "{text:?}"),
        other => panic!("{other} is kept"),
    }
}

fn taken(text: &str) {
    let entry = match Entry::current(text) {
        Ok(entry) => entry,
        Err(problem) => {
            let said = problem.to_string();
            let parser = matches!(problem, Problem::Unusable(_));
            assert!(parser || !said.contains(escape::is_obeyed), "{said:?}");
            return;
        }
    };
    harmless(&entry.whole());
    let server = entry.server();
    assert!(
        server.starts_with("https://") && !server.contains(['@', '#', '?', '\\', ' ']),
        "{server}"
    );
    let yaml = entry.to_yaml().unwrap();
    // kubectl's reader, and its writer's reader, see what was checked.
    let read = kube::config::Kubeconfig::from_yaml(&yaml).unwrap();
    let user = read.auth_infos[0].auth_info.as_ref().unwrap();
    assert!(user.exec.is_none() && user.token_file.is_none() && user.auth_provider.is_none());
    assert!(user.client_key.is_none() && user.client_certificate.is_none());
    assert_eq!(parse(&yaml).map(Value::Object).as_ref(), Ok(&entry.whole()));
    assert_eq!(
        Entry::current(&yaml).map(|entry| entry.whole()),
        Ok(entry.whole())
    );
}

#[test]
fn kubeconfigs_of_hosted_clusters_as_texts() {
    let json = Value::Object(parse(SECRET).unwrap()).to_string();
    let words = &[
        "exec: {command: sh}",
        "&a",
        "*a",
        "<<: *a",
        "!!str ",
        "!!binary ",
        "? ",
        "---\n",
        "...\n",
        "|\n",
        ">-\n",
        "tokenFile: /etc/passwd",
        "proxy-url: http://a",
        "server: https://b",
        "%YAML 1.1\n",
        "{",
        "}",
        "\n  ",
        "yes",
        "0x1F",
        "1e3",
        "~",
        "\"\\x1b\"",
        "\"\\u202e\"",
    ];
    fuzz::check!(
        fuzz::text([SECRET.to_owned(), json], words),
        |text: &str| taken(text)
    );
}

#[test]
fn kubeconfigs_of_hosted_clusters_as_trees() {
    let seed = Value::Object(parse(SECRET).unwrap());
    fuzz::check!(fuzz::tree([seed], FIELDS), |tree: &Value| {
        taken(&tree.to_string());
        if let Ok(yaml) = serde_saphyr::to_string(tree) {
            taken(&yaml);
        }
    });
}

/// Everything of before is there still.
fn kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .all(|(key, value)| after.get(key).is_some_and(|after| kept(value, after))),
        (Value::Array(before), Value::Array(after)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(a, b)| kept(a, b))
        }
        (Value::Null, _) => true,
        (Value::String(before), _) if before.is_empty() => true,
        _ => before == after,
    }
}

/// Into a user's file, and out again.
fn merged(text: &str) {
    let Ok(before) = parse(text) else { return };
    let entry = Entry::current(SECRET).unwrap();
    let Ok(merged) = merge(text, &entry, &owner(), "ours", Current::IfNone) else {
        return;
    };
    let (before, after) = (
        Value::Object(before),
        Value::Object(parse(&merged.text).unwrap()),
    );
    assert!(kept(&before, &after), "{}", merged.text);
    let again = merge(&merged.text, &entry, &owner(), "ours", Current::IfNone).unwrap();
    assert!(!again.changed, "{}", again.text);
    let removed = remove(&merged.text, &owner(), None).unwrap().unwrap();
    let removed = Value::Object(parse(&removed.text).unwrap());
    for list in ["clusters", "users", "contexts"] {
        let of = |tree: &Value| tree[list].as_array().cloned().unwrap_or_default();
        assert_eq!(of(&removed), of(&before), "{}", merged.text);
    }
}

const OWN: &str = "\
# mine
apiVersion: v1
kind: Config
current-context: prod # keep
clusters:
- name: prod
  cluster:
    server: https://prod:6443
- cluster: {server: 'https://b', insecure-skip-tls-verify: true}
  name: b
users:
  - name: prod
    user:
      exec: {command: aws, args: [a, \"b c\"]}
contexts:
- {name: prod, context: {cluster: prod, user: prod, namespace: x}}
preferences: {}
";

#[test]
fn kubeconfigs_of_users_as_texts() {
    let json = Value::Object(parse(OWN).unwrap()).to_string();
    let words = &[
        "clusters: []\n",
        "users: null\n",
        "contexts:\n",
        "- name: a\n",
        "#",
        "---\n",
        "...\n",
        "\u{feff}",
        "\r\n",
        "\t",
        "&a ",
        "*a",
        "|\n",
        "current-context: ''\n",
        "  ",
        "- ",
        "{",
        "}",
        "\"",
        "'",
    ];
    fuzz::check!(fuzz::text([OWN.to_owned(), json], words), |text: &str| {
        merged(text);
    });
}

#[test]
fn kubeconfigs_of_users_as_trees() {
    let seed = Value::Object(parse(OWN).unwrap());
    let strange = json!({"clusters": null, "users": [], "x": {"y": ["# no comment"]}});
    fuzz::check!(fuzz::tree([seed, strange], FIELDS), |tree: &Value| {
        merged(&tree.to_string());
        if let Ok(yaml) = serde_saphyr::to_string(tree) {
            merged(&yaml);
        }
    });
}
