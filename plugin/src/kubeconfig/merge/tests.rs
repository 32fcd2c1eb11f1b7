use crate::kubeconfig::merge::*;

pub(super) const SECRET: &str = "\
apiVersion: v1
kind: Config
current-context: demo-admin@demo-k0s
clusters:
- name: demo-k0s
  cluster: {server: 'https://10.0.0.7:31443', certificate-authority-data: Q0E=}
users:
- name: demo-admin
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
contexts:
- name: demo-admin@demo-k0s
  context: {cluster: demo-k0s, user: demo-admin}
";

fn owner() -> Owner {
    Owner {
        cluster: "demo".into(),
        namespace: "team-a".into(),
        mothership: "https://m:6443".into(),
        user: None,
    }
}

fn entry() -> Entry {
    Entry::current(SECRET).unwrap()
}

fn into(text: &str) -> Merged {
    merge(text, &entry(), &owner(), "demo", Current::IfNone).unwrap()
}

fn value(text: &str) -> Value {
    Value::Object(parse(text).unwrap())
}

/// Everything that was there is there still, at the same place.
fn kept(before: &Value, after: &Value, path: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let found = after
                    .get(key)
                    .unwrap_or_else(|| panic!("{path}/{key} was lost"));
                kept(value, found, &format!("{path}/{key}"));
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (index, value) in before.iter().enumerate() {
                kept(value, &after[index], &format!("{path}/{index}"));
            }
        }
        (Value::Null, _) => {}
        (Value::String(before), _) if before.is_empty() => {}
        _ => assert_eq!(before, after, "{path} was changed"),
    }
}

/// Merges, checks that nothing was lost, that kubectl's reader takes it, that the new context
/// leads to the new cluster, and that merging again changes nothing.
fn checked(text: &str) -> Merged {
    let merged = into(text);
    assert!(merged.changed);
    kept(&value(text), &value(&merged.text), "");
    let config = kube::config::Kubeconfig::from_yaml(&merged.text)
        .unwrap_or_else(|error| panic!("{error}\n{}", merged.text));
    let context = config
        .contexts
        .iter()
        .find(|context| context.name == "demo")
        .unwrap();
    let context = context.context.as_ref().unwrap();
    assert_eq!(
        (context.cluster.as_str(), context.user.as_deref()),
        ("demo", Some("demo"))
    );
    let cluster = config
        .clusters
        .iter()
        .find(|cluster| cluster.name == "demo")
        .unwrap();
    let server = cluster.cluster.as_ref().unwrap().server.as_deref();
    assert_eq!(server, Some("https://10.0.0.7:31443"));
    assert!(
        !into(&merged.text).changed,
        "merged again:\n{}",
        merged.text
    );
    merged
}

const COMMENTED: &str = "\
# mine, do not touch
apiVersion: v1
kind: Config
preferences: {}
current-context: work   # the usual one

clusters:
# the office
- name: work
  cluster:
    server: https://work:6443   # through the VPN
    certificate-authority: ca.crt

users:
- name: me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login
      args: [--token, \"yes\", '0123']
      interactiveMode: Never

# contexts come last
contexts:
- name: work
  context: {cluster: work, user: me, namespace: web}
# the end
";

#[test]
fn comments_order_and_spelling_stay() {
    let merged = checked(COMMENTED);
    assert!(!merged.lost_comments);
    let lines: Vec<&str> = merged.text.lines().collect();
    let mut rest = lines.iter();
    for line in COMMENTED.lines() {
        assert!(
            rest.any(|found| *found == line),
            "lost or moved: {line}\n{}",
            merged.text
        );
    }
    insta::assert_snapshot!("commented", merged.text);
}

#[test]
fn an_empty_file_becomes_a_kubeconfig() {
    for text in ["", "\n\n", "---\n", "# nothing yet\n", "{}\n", "null\n"] {
        let merged = checked(text);
        assert!(merged.is_current);
        assert_eq!(value(&merged.text)["current-context"], "demo", "{text:?}");
        assert_eq!(value(&merged.text)["kind"], "Config");
    }
}

#[test]
fn kubectls_own_empty_config_is_filled() {
    let merged = checked(
        "apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: \"\"\nkind: Config\n\
         preferences: {}\nusers: null\n",
    );
    assert!(merged.is_current);
}

#[test]
fn empty_lists_in_brackets_are_filled() {
    checked("kind: Config\nclusters: []\nusers: [] # none\ncontexts: []\n");
}

#[test]
fn lists_may_be_indented() {
    let merged = checked(
        "current-context: a\nclusters:\n    - name: a\n      cluster:\n          server: https://a\n\
         contexts:\n    - context:\n          cluster: a\n          user: a\n      name: a\nusers:\n    - name: a\n      user: {}\n",
    );
    assert!(
        merged
            .text
            .contains("\n    - name: a\n      cluster:\n          server: https://a\n")
    );
}

#[test]
fn flow_style_is_written_anew_with_everything_in_it() {
    let merged = checked(
        "# short\nclusters: [{name: a, cluster: {server: 'https://a'}}]\nusers: [{name: a, user: {token: abc}}]\n\
         contexts: [{name: a, context: {cluster: a, user: a}}]\ncurrent-context: a\n",
    );
    assert!(merged.lost_comments);
}

#[test]
fn json_stays_json() {
    let text = "{\"kind\":\"Config\",\"clusters\":[{\"name\":\"a\",\"cluster\":{\"server\":\"https://a\"}}],\
                \"contexts\":[],\"users\":[],\"current-context\":\"a\"}";
    let merged = checked(text);
    let read: Value = serde_json::from_str(&merged.text).unwrap();
    assert_eq!(read["clusters"][0]["name"], "a");
}

#[test]
fn fields_that_nobody_knows_survive() {
    let merged = checked(
        "x-mine: {deep: [1, {a: b}]}\nclusters:\n- name: a\n  note: hi\n  cluster:\n    server: https://a\n    \
         future-field: 7\n    extensions:\n    - name: client.authentication.k8s.io/exec\n      extension: {audience: x}\n\
         users:\n- name: a\n  user:\n    as: root\n    auth-provider: {name: oidc, config: {id-token: t}}\n\
         contexts:\n- name: a\n  context: {cluster: a, user: a}\n  extra: true\nextensions:\n- name: e\n  extension: {k: v}\n",
    );
    assert_eq!(value(&merged.text)["x-mine"]["deep"][1]["a"], "b");
}

#[test]
fn windows_line_ends_are_read() {
    checked(
        "clusters:\r\n- name: a\r\n  cluster:\r\n    server: https://a\r\ncurrent-context: a\r\n",
    );
}

#[test]
fn a_byte_order_mark_is_no_obstacle() {
    checked("\u{feff}apiVersion: v1\nkind: Config\nclusters: []\n");
}

#[test]
fn long_values_and_block_scalars_stay_whole() {
    let long = "QUJD".repeat(700);
    let merged = checked(&format!(
        "clusters:\n- name: a\n  cluster:\n    certificate-authority-data: {long}\n    server: >-\n      https://a\n\
         users:\n- name: a\n  user:\n    token: |\n      first\n      second\ncontexts: []\n"
    ));
    assert_eq!(
        value(&merged.text)["users"][0]["user"]["token"],
        "first\nsecond\n"
    );
}

#[test]
fn anchors_mean_the_same_afterwards() {
    checked(
        "clusters:\n- name: a\n  cluster: &c\n    server: https://a\n- name: b\n  cluster: *c\nusers: []\n",
    );
}

#[test]
fn paths_relative_to_the_file_are_not_touched() {
    let merged = checked(
        "clusters:\n- cluster:\n    certificate-authority: ../pki/ca.crt\n    server: https://a\n  name: a\n",
    );
    assert!(merged.text.contains("certificate-authority: ../pki/ca.crt"));
}

#[test]
fn entries_of_others_are_never_replaced() {
    for (text, list) in [
        (
            "clusters:\n- {name: demo, cluster: {server: 'https://kind'}}\n",
            "cluster",
        ),
        ("users:\n- {name: demo, user: {token: mine}}\n", "user"),
        (
            "contexts:\n- {name: demo, context: {cluster: kind, user: kind}}\n",
            "context",
        ),
    ] {
        let refused = merge(text, &entry(), &owner(), "demo", Current::IfNone);
        assert_eq!(
            refused,
            Err(Problem::Taken {
                list,
                name: "demo".into()
            })
        );
    }
}

#[test]
fn a_cluster_of_the_same_name_elsewhere_is_somebody_elses() {
    let merged = into("");
    let elsewhere = Owner {
        namespace: "team-b".into(),
        ..owner()
    };
    let other = entry().at("https://10.0.0.8:6443");
    let refused = merge(&merged.text, &other, &elsewhere, "demo", Current::IfNone);
    assert!(matches!(refused, Err(Problem::Taken { .. })), "{refused:?}");
}

#[test]
fn the_current_context_changes_only_when_asked() {
    assert_eq!(value(&into(COMMENTED).text)["current-context"], "work");
    let left = merge("", &entry(), &owner(), "demo", Current::Leave).unwrap();
    assert!(!left.is_current && !has_current(&left.text));
    let switched = merge(COMMENTED, &entry(), &owner(), "demo", Current::Switch).unwrap();
    assert_eq!(value(&switched.text)["current-context"], "demo");
}

#[test]
fn names_that_yaml_would_misread_are_quoted() {
    for name in [
        "yes",
        "1e3",
        "team-a/demo",
        "a: b",
        "# no",
        "0123",
        "null",
        "- x",
        "'q\"",
    ] {
        let merged = merge(COMMENTED, &entry(), &owner(), name, Current::Switch).unwrap();
        assert_eq!(
            value(&merged.text)["current-context"],
            name,
            "{}",
            merged.text
        );
        assert_eq!(value(&merged.text)["contexts"][1]["name"], name);
    }
}

#[test]
fn what_is_no_kubeconfig_is_refused() {
    for text in [
        "clusters: {a: b}\n",
        "- a\n",
        "just text",
        "a: [\n",
        "current-context: [a]\n",
        "users:\n- {name: a, user: {token: 1}}\n",
        "users:\n- {name: a}\n- {name: a}\n",
    ] {
        let refused = merge(text, &entry(), &owner(), "demo", Current::IfNone);
        assert!(
            matches!(refused, Err(Problem::Unusable(_))),
            "{text:?}: {refused:?}"
        );
    }
}

#[test]
fn what_kubectl_does_not_mind_is_no_obstacle() {
    for more in [
        "---\n",
        "---\nclusters: []\n",
        "preferences: {}\npreferences: {}\n",
    ] {
        let text = format!("{COMMENTED}{more}");
        let merged = merge(&text, &entry(), &owner(), "demo", Current::IfNone).unwrap();
        assert_eq!(value(&merged.text)["contexts"][1]["name"], "demo", "{more}");
    }
}

#[test]
fn only_a_state_without_us_is_the_first() {
    let first = into(COMMENTED);
    assert!(first.is_first);
    let again = merge(&first.text, &entry(), &owner(), "other", Current::IfNone).unwrap();
    assert!(again.changed && !again.is_first);
}

#[test]
fn the_current_context_is_changed_alone() {
    let (text, lost) = switch(COMMENTED, "demo").unwrap();
    let expected = COMMENTED.replace("current-context: work", "current-context: demo");
    assert!(expected.contains("current-context: demo   # the usual one"));
    assert_eq!((text, lost), (expected, false));
}

#[test]
fn a_secret_without_a_whole_context_is_refused() {
    for text in [
        "",
        "kind: Config\n",
        &SECRET.replace("name: demo-admin\n", "name: x\n"),
    ] {
        assert!(
            matches!(Entry::current(text), Err(Problem::Unusable(_))),
            "{text:?}"
        );
    }
}

#[test]
fn alone_it_is_a_whole_kubeconfig_with_the_address_asked_for() {
    let alone = entry().at("https://api.example.org:6443").alone("prod");
    let config = kube::config::Kubeconfig::from_yaml(&alone.to_string()).unwrap();
    assert_eq!(config.current_context.as_deref(), Some("prod"));
    let cluster = config.clusters[0].cluster.as_ref().unwrap();
    assert_eq!(
        cluster.server.as_deref(),
        Some("https://api.example.org:6443")
    );
}

mod anew;
mod awkward;
mod comments;
mod removal;
