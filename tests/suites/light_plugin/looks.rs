//! What commands tell that only look: versions, policies, and the requests that are made.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::v1beta2::ClusterPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams, PostParams};
use mothership::{Light, LightOptions};
use serde_json::json;

use crate::access::hosted_here;
use crate::person::Person;
use crate::scene::installed;

#[tokio::test(flavor = "multi_thread")]
async fn the_versions_of_everything_are_told_with_what_does_not_go_together() -> Result<()> {
    let light = Light::start(LightOptions::default()).await?;
    let admin = Person::new(light.admin_kubeconfig()?)?;
    let before = admin.runs("version")?.expect(0, &[]);
    for part in [
        "k0smotron.io is not installed",
        "Controller: not installed",
        "Webhook:    not installed",
    ] {
        assert!(before.stdout.contains(part), "{before:#?}");
    }

    admin
        .runs("install --registry registry.example.org/k0smotron")?
        .expect(0, &[]);
    let own = admin.runs("version --client -o json")?.json()?;
    let both = admin.runs("version -o json")?.expect(0, &[]);
    assert_eq!(both.stderr, "");
    let both = both.json()?;
    assert_eq!(both["controller"]["version"], own["client"]);
    assert_eq!(both["webhook"]["version"], own["client"]);

    let deployments: Api<Deployment> = Api::namespaced(light.admin().await?, "k0smotron");
    let image = "registry.example.org/k0smotron/controller:v99.1.0@sha256:00ff";
    let newer = json!([{"op": "replace",
        "path": "/spec/template/spec/containers/0/image", "value": image}]);
    let patch = Patch::<()>::Json(serde_json::from_value(newer)?);
    deployments
        .patch(
            "k0smotron-controller-manager",
            &PatchParams::default(),
            &patch,
        )
        .await?;
    let newer = admin.runs("version")?.expect(
        0,
        &[
            "warning: this program",
            "is older than the controller (v99.1.0)",
            "get the plugin of v99.1.0",
            "are of different releases",
        ],
    );
    assert!(newer.stdout.contains("Controller: v99.1.0\n"), "{newer:#?}");

    let limited = Person::new(light.kubeconfig("limited", &[])?)?;
    let hidden = limited.runs("version")?.expect(0, &[]);
    for part in [
        "Mothership: Kubernetes v",
        "API:        k0smotron.io v1beta2",
        "Controller: no permission to get Deployment",
    ] {
        assert!(hidden.stdout.contains(part), "{hidden:#?}");
    }
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_shown_as_far_as_asked_and_secrets_never() -> Result<()> {
    let (light, admin) = installed().await?;
    hosted_here(&light, &admin.kubeconfig).await?;
    let kubeconfig = std::fs::read_to_string(&admin.kubeconfig)?;
    let key = kubeconfig.get(200..260).context("a short kubeconfig")?;
    let plain = admin.runs("kubeconfig demo")?.expect(0, &[]);
    assert_eq!(plain.stderr, "");
    assert!(plain.stdout.contains(key));

    let first = admin.runs("kubeconfig demo -v")?.expect(0, &[]);
    assert_eq!(first.stdout, plain.stdout);
    let lines: Vec<&str> = first.stderr.lines().collect();
    let [line] = lines.as_slice() else {
        panic!("one request is one line: {first:#?}");
    };
    let path = "/api/v1/namespaces/default/secrets/demo-kubeconfig 200 OK in ";
    assert!(
        line.starts_with("GET https://") && line.contains(path),
        "{line}"
    );
    let query = admin
        .runs("list -l a=b -v")?
        .expect(0, &["/clusters?", "labelSelector=a%3Db 200 OK in"]);
    assert_eq!(query.stderr.lines().count(), 2, "{query:#?}");
    admin.runs("list -v=7 --as jane")?.expect(
        4,
        &["/clusters 403 Forbidden in", "  impersonate-user: jane"],
    );

    let whole = admin.runs("kubeconfig demo -v=9")?.expect(0, &[]);
    assert!(!whole.stderr.contains(key), "{whole:#?}");
    let encoded = STANDARD.encode(&kubeconfig);
    assert!(!whole.stderr.contains(encoded.get(..60).context("short")?));
    admin.runs("create demo -v=8")?.expect(
        0,
        &[
            "POST https://",
            "201 Created",
            "  content-type: application/json",
        ],
    );
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_listed_and_explained() -> Result<()> {
    let (light, admin) = installed().await?;
    admin.runs("policy list")?.expect(0, &["No policies found"]);
    admin
        .runs("policy explain")?
        .expect(0, &["everything is allowed that works"]);
    let policies: Api<ClusterPolicy> = Api::all(light.admin().await?);
    for (name, spec) in [
        (
            "tenants",
            json!({"namespaceSelector": {"matchLabels":
                {"kubernetes.io/metadata.name": "default"}}, "replicas": {"max": 3}}),
        ),
        (
            "all",
            json!({"replicas": {"min": 1}, "rules": [{"name": "odd",
                "expression": "object.spec.replicas % 2 == 1", "message": "odd is better"}]}),
        ),
    ] {
        let policy: ClusterPolicy =
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
        policies.create(&PostParams::default(), &policy).await?;
    }
    let listed = admin.runs("policy list")?.expect(0, &[]);
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert!(
        lines[0].starts_with("NAME      MODE      NAMESPACES"),
        "{listed:#?}"
    );
    assert!(
        lines[1].starts_with("all       Enforce   <all>"),
        "{listed:#?}"
    );
    assert!(
        lines[2].contains("kubernetes.io/metadata.name=default"),
        "{listed:#?}"
    );
    let names = admin
        .runs("policy list --no-headers -o name")?
        .expect(0, &[]);
    assert_eq!(
        names.stdout,
        "clusterpolicy.k0smotron.io/all\nclusterpolicy.k0smotron.io/tenants\n"
    );
    let both = admin.runs("policy explain")?.expect(0, &[]);
    assert!(
        both.stdout
            .contains("\n\nPolicy tenants holds in namespaces with"),
        "{both:#?}"
    );
    assert!(
        both.stdout.contains("says of spec: \"odd is better\""),
        "{both:#?}"
    );
    admin
        .runs("policy explain tenant")?
        .expect(3, &["there is no policy", "hint: did you mean tenants?"]);
    let here = admin.runs("policy explain -n default")?.expect(0, &[]);
    assert!(here.stdout.contains("  - tenants (Enforce)\n"), "{here:#?}");
    assert!(
        here.stdout.contains("  - from 1 to 3 control-plane pods\n"),
        "{here:#?}"
    );
    let there = admin
        .runs("policy explain --for kube-system")?
        .expect(0, &[]);
    assert!(!there.stdout.contains("tenants"), "{there:#?}");
    let not = admin
        .runs("policy explain tenants --for kube-system")?
        .expect(0, &[]);
    assert!(
        not.stdout
            .contains("In namespace kube-system it does not hold."),
        "{not:#?}"
    );
    admin
        .runs("policy explain --for nowhere")?
        .expect(3, &["\"nowhere\" not found"]);
    light.down().await
}
