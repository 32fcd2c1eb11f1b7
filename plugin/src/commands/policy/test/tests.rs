use std::fs;

use super::*;
use crate::error::Exit;
use crate::flags::GlobalArgs;
use crate::output::{Captured, Output, Paint};

const POLICIES: &str = r#"
apiVersion: k0smotron.io/v1beta2
kind: ClusterPolicy
metadata: {name: teams}
spec:
  namespaceSelector: {matchLabels: {tenant: "true"}}
  versions: [">=1.35.0 <1.37.0"]
  replicas: {max: 3}
  maxTokenLifetime: 24h
  defaults: {labels: {team: none}}
  rules:
  - {name: odd, expression: object.spec.replicas % 2 == 1, action: Warn}
---
apiVersion: k0smotron.io/v1beta2
kind: ClusterPolicy
metadata: {name: others}
spec:
  namespaceSelector: {matchLabels: {tenant: "false"}}
  replicas: {max: 0}
"#;

const OBJECTS: &str = r"
apiVersion: k0smotron.io/v1beta2
kind: Cluster
metadata: {name: good, namespace: team-a}
spec: {replicas: 3, version: v1.36.3-k0s.2, service: {type: LoadBalancer}}
---
apiVersion: k0smotron.io/v1beta2
kind: Cluster
metadata: {name: bad, namespace: team-a}
spec: {replicas: 4, version: v1.34.1+k0s.0, service: {type: LoadBalancer, apiPort: 70000}}
---
apiVersion: k0smotron.io/v1beta2
kind: JoinTokenRequest
metadata: {name: forever}
spec: {clusterName: good}
---
apiVersion: v1
kind: Secret
metadata: {name: skipped}
---
apiVersion: k0smotron.io/v1beta2
kind: Cluster
metadata: {name: odd-type}
spec: {replicas: many}
---
apiVersion: k0smotron.io/v1beta2
kind: ClusterPolicy
metadata: {name: typo}
spec:
  rules:
  - name: typo
    expression: |-
      object.spec.replicas == 1 &&
        self.x
";

async fn ran(
    objects: &str,
    policies: &str,
    output: Option<Structured>,
) -> (Captured, Result<(), Error>) {
    let labels = vec![("tenant".to_owned(), "true".to_owned())];
    ran_with(objects, policies, output, Some(labels)).await
}

async fn ran_with(
    objects: &str,
    policies: &str,
    output: Option<Structured>,
    namespace_labels: Option<Vec<(String, String)>>,
) -> (Captured, Result<(), Error>) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let args = TestArgs {
        filename: vec![file("objects.yaml", objects)],
        policy: vec![file("policies.yaml", policies)],
        namespace_labels,
        output,
    };
    let (out, captured) = Output::captured();
    let session = Session::new(GlobalArgs::default(), out);
    let result = run(&session, &args).await;
    (captured, result)
}

fn without_folder(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.split_once("objects.yaml") {
            Some((_, rest)) => format!("objects.yaml{rest}"),
            None => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_object_is_listed_with_what_each_rule_says() {
    let (captured, result) = ran(OBJECTS, POLICIES, None).await;
    let error = result.unwrap_err();
    assert_eq!(error.exit(), Exit::Refused);
    assert_eq!(error.to_string(), "4 of 5 objects would be refused");
    insta::assert_snapshot!("text", without_folder(&captured.stdout()));
    assert!(
        captured.stderr().contains("document 4: skipped"),
        "{}",
        captured.stderr()
    );
}

#[tokio::test]
async fn what_is_accepted_ends_with_0() {
    let good = OBJECTS.split("---").next().unwrap();
    let (captured, result) = ran(good, POLICIES, Some(Structured::Json)).await;
    result.unwrap();
    let report: Value = serde_json::from_str(&captured.stdout()).unwrap();
    assert_eq!(report["allowed"], true);
    assert_eq!(
        report["objects"][0]["notSelected"],
        serde_json::json!(["others"])
    );
    assert_eq!(report["objects"][0]["results"][1]["result"], "pass");
}

#[tokio::test]
async fn a_file_without_what_is_asked_for_is_an_error_of_the_command_line() {
    let (_, result) = ran("apiVersion: v1\nkind: Secret\n", POLICIES, None).await;
    assert_eq!(result.unwrap_err().exit(), Exit::Usage);
    let (_, result) = ran(OBJECTS, OBJECTS.split("---").next().unwrap(), None).await;
    assert_eq!(result.unwrap_err().exit(), Exit::Usage);
}

#[test]
fn clusters_of_the_namespace_count_but_for_the_one_that_is_tested() {
    let key = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
    let known = Known {
        clusters: [(key("a", "x"), 3), (key("a", "y"), 1), (key("b", "z"), 5)].into(),
        ..Known::default()
    };
    let usage = known.usage("a", "x");
    assert_eq!((usage.clusters, usage.replicas), (1, 1));
}

#[test]
fn labels_are_written_as_kubectl_takes_them() {
    assert_eq!(label("a=b"), Ok(("a".to_owned(), "b".to_owned())));
    assert_eq!(label("a="), Ok(("a".to_owned(), String::new())));
    assert!(label("a").is_err());
    assert!(label("=b").is_err());
}

#[test]
fn results_have_colours_where_there_are_any() {
    let line = Line {
        result: Verdicted::Refused,
        policy: None,
        rule: "validation".to_owned(),
        message: String::new(),
    };
    let verdict = Verdict {
        source: "a.yaml".to_owned(),
        kind: "ClusterPolicy".to_owned(),
        namespace: String::new(),
        name: "p".to_owned(),
        allowed: false,
        results: vec![line],
        not_selected: Vec::new(),
    };
    let report = Report {
        allowed: false,
        objects: vec![verdict],
    };
    let text = report.render(Paint::Always);
    assert!(
        text.starts_with("a.yaml: ClusterPolicy p: \u{1b}[31mrefused"),
        "{text:?}"
    );
}

const NO_VERSION: &str = r"
apiVersion: k0smotron.io/v1beta2
kind: Cluster
metadata: {name: c}
spec: {service: {type: LoadBalancer}}
";

#[tokio::test]
async fn a_policys_default_comes_before_the_products() {
    let policy = |spec: &str| {
        format!(
            "apiVersion: k0smotron.io/v1beta2\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
        )
    };
    let only = policy("{versions: ['1.35']}");
    let (captured, result) = ran(NO_VERSION, &only, None).await;
    assert_eq!(result.unwrap_err().exit(), Exit::Refused);
    assert!(
        captured.stdout().contains("rule versions"),
        "{}",
        captured.stdout()
    );
    let chosen = policy("{versions: ['1.35'], defaults: {spec: {version: v1.35.1-k0s.0}}}");
    ran(NO_VERSION, &chosen, None).await.1.unwrap();
}

#[tokio::test]
async fn the_products_own_rules_hold_without_any_policy_about_them() {
    // What depends on where the object goes is in no schema.
    let reference = "remoteHostCluster: {kubeconfigRef: {name: k, namespace: other}}";
    let objects = NO_VERSION.replace("spec: {", &format!("spec: {{{reference}, "));
    let (captured, result) = ran(&objects, POLICIES, None).await;
    assert_eq!(result.unwrap_err().exit(), Exit::Refused);
    let path = "spec.remoteHostCluster.kubeconfigRef.namespace";
    assert!(captured.stdout().contains(path), "{}", captured.stdout());
}

#[tokio::test]
async fn what_the_api_server_or_the_webhook_mends_is_not_refused() {
    let accepted = [
        "{replicas: null, service: {type: LoadBalancer}}",
        "{service: null}",
        "{service: {type: ''}}",
        "null",
    ];
    let policy = "apiVersion: k0smotron.io/v1beta2\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {serviceTypes: [LoadBalancer, NodePort, ClusterIP]}\n";
    for spec in accepted {
        let objects = NO_VERSION.replace("{service: {type: LoadBalancer}}", spec);
        let (captured, result) = ran(&objects, policy, None).await;
        assert!(result.is_ok(), "{spec}: {}", captured.stdout());
    }
}

#[tokio::test]
async fn what_is_written_out_in_the_old_version_and_filled_in_anyway_breaks_no_policy() {
    let old = NO_VERSION
        .replace("v1beta2", "v1beta1")
        .replace("spec: {", "spec: {persistence: {type: emptyDir}, ");
    let policy = "apiVersion: k0smotron.io/v1beta2\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {forbiddenFields: [spec.persistence]}\n";
    let (captured, result) = ran(&old, policy, None).await;
    assert!(result.is_ok(), "{}", captured.stdout());
}

#[tokio::test]
async fn free_rules_see_the_namespace_that_a_file_leaves_out() {
    let policy = "apiVersion: k0smotron.io/v1beta2\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {rules: [{name: place, expression: object.metadata.namespace == 'default'}]}\n";
    let (captured, result) = ran(NO_VERSION, policy, None).await;
    assert!(result.is_ok(), "{}", captured.stdout());
}

#[tokio::test]
async fn a_list_that_is_empty_is_there_for_free_rules() {
    let objects = NO_VERSION.replace("spec: {", "spec: {controlPlaneFlags: [], ");
    let policy = "apiVersion: k0smotron.io/v1beta2\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {rules: [{name: none, expression: size(object.spec.controlPlaneFlags) == 0}]}\n";
    let (captured, result) = ran(&objects, policy, None).await;
    assert!(result.is_ok(), "{}", captured.stdout());
}

#[tokio::test]
async fn namespaces_and_accepted_clusters_of_the_files_are_known_to_what_follows() {
    let policy = "apiVersion: k0smotron.io/v1beta2\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {namespaceSelector: {matchLabels: {stage: test}}, namespaceLimits: {clusters: 1}}\n";
    let named =
        |name: &str| NO_VERSION.replace("{name: c}", &format!("{{name: {name}, namespace: a}}"));
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {stage: test}}\n";
    let objects = [&named("one"), &named("two"), namespace].join("---\n");
    let (captured, result) = ran_with(&objects, policy, None, None).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "1 of 2 objects would be refused"
    );
    let refusal = "document 2: Cluster a/two: refused";
    assert!(captured.stdout().contains(refusal), "{}", captured.stdout());
    let objects = [named("one"), named("one")].join("---\n");
    ran(&objects, policy, None).await.1.unwrap();
}

#[tokio::test]
async fn a_token_request_is_held_to_the_same_rules_in_both_versions() {
    let requests = |expiry: &str| {
        let head = |version: &str, name: &str| {
            format!(
                "apiVersion: k0smotron.io/{version}\nkind: JoinTokenRequest\nmetadata: {{name: {name}, namespace: a}}\n"
            )
        };
        format!(
            "{}spec: {{clusterName: c, expiry: {expiry}}}\n---\n{}spec: {{clusterRef: {{name: c, namespace: a}}, expiry: {expiry}}}\n",
            head("v1beta2", "new"),
            head("v1beta1", "old"),
        )
    };
    ran(&requests("12h"), POLICIES, None).await.1.unwrap();
    for (expiry, rule) in [
        ("soon", "must be a duration"),
        ("48h", "rule maxTokenLifetime"),
    ] {
        let (captured, result) = ran(&requests(expiry), POLICIES, None).await;
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "2 of 2 objects would be refused");
        let text = captured.stdout();
        assert_eq!(text.matches(rule).count(), 2, "{text}");
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_converted_is_named_with_its_field() {
    let bad = NO_VERSION
        .replace("v1beta2", "v1beta1")
        .replace("{type: LoadBalancer}", "many");
    let objects = [NO_VERSION, &bad].join("---\n");
    let error = ran(&objects, POLICIES, None)
        .await
        .1
        .unwrap_err()
        .to_string();
    let end = "objects.yaml, document 2: spec.service: must be an object, not a string";
    assert!(error.ends_with(end), "{error}");
}

#[tokio::test]
async fn an_object_of_the_old_version_is_decided_about_as_it_will_be_stored() {
    let old = NO_VERSION.replace("v1beta2", "v1beta1");
    let (captured, result) = ran(&old, POLICIES, Some(Structured::Json)).await;
    result.unwrap();
    let report: Value = serde_json::from_str(&captured.stdout()).unwrap();
    assert_eq!(report["objects"][0]["name"], "c");
    let old = old.replace("spec: {", "spec: {replicas: 4, ");
    let (captured, result) = ran(&old, POLICIES, None).await;
    assert_eq!(result.unwrap_err().exit(), Exit::Refused);
    assert!(
        captured.stdout().contains("spec.replicas"),
        "{}",
        captured.stdout()
    );
}
