//! Who gets in with which rights, and which versions there are. Where a hosted API is asked, the
//! mothership plays that part as well: its controller manager signs certificates.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use crds::v1beta2::ClusterPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use mothership::components::Components;
use mothership::progress::Progress;
use mothership::{Light, LightOptions};
use serde_json::{Value, json};

use crate::person::{Ended, Person};
use crate::scene::{installed, secret};

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

fn kubectl(kubeconfig: &Path, line: &str) -> Result<Ended> {
    let components = Components::light(&Progress::new())?;
    let output = Command::new(components.path("kubectl")?)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(line.split_whitespace())
        .output()?;
    Ok(output.into())
}

/// Plays the controller: the kubeconfig of cluster `demo` leads to this API server, as `whom`.
async fn hosted_here(light: &Light, whom: &Path) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(light.admin().await?, "default");
    let text = std::fs::read_to_string(whom)?;
    let found = secret("demo-kubeconfig", "value", &text)?;
    let parameters = PatchParams::apply("test");
    let mut found = serde_json::to_value(found)?;
    found["apiVersion"] = json!("v1");
    found["kind"] = json!("Secret");
    secrets
        .patch("demo-kubeconfig", &parameters, &Patch::Apply(&found))
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_gets_in_with_a_certificate_and_no_rights_but_those_that_are_bound() -> Result<()>
{
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
    admin.runs("create demo --service NodePort")?.expect(0, &[]);
    admin
        .runs("kubeconfig demo --as-user alice")?
        .expect(3, &["it is not there yet"]);
    hosted_here(&light, &admin.kubeconfig).await?;

    let refused = admin.runs("kubeconfig demo --as-user alice --group system:masters")?;
    assert_eq!(refused.code, 2, "{refused:#?}");
    assert!(
        refused
            .stderr
            .contains("signs no certificates for system:masters")
    );
    let soon = admin.runs("kubeconfig demo --as-user alice --ttl 5m")?;
    assert_eq!(soon.code, 2, "{soon:#?}");

    let made = admin
        .runs("kubeconfig demo --as-user alice --group dev --group ops --ttl 1h --via direct")?
        .expect(
            0,
            &[
                "The certificate lets alice in until 20",
                "It has no rights until somebody binds some to alice or dev, ops",
                "exec demo -n default -- kubectl create clusterrolebinding view-alice",
            ],
        );
    let alice = admin.file("alice", &made.stdout)?;
    let who = kubectl(&alice, "auth whoami -o json")?.json()?;
    let who = &who["status"]["userInfo"];
    assert_eq!(who["username"], "alice");
    assert_eq!(who["groups"], json!(["dev", "ops", "system:authenticated"]));
    let forbidden = kubectl(&alice, "get pods")?;
    assert!(forbidden.stderr.contains("Forbidden"), "{forbidden:#?}");
    kubectl(
        &admin.kubeconfig,
        "create clusterrolebinding view-ops --clusterrole view --group ops",
    )?;
    let allowed = kubectl(&alice, "get pods")?;
    assert_eq!(allowed.code, 0, "{allowed:#?}");
    let left = requests.list(&ListParams::default()).await?.items;
    assert!(left.is_empty(), "{left:#?}");

    users_are_merged_beside_the_administrator(&admin)?;
    who_may_not_approve_leaves_nothing(&light, &admin, &requests).await?;
    light.down().await
}

fn users_are_merged_beside_the_administrator(admin: &Person) -> Result<()> {
    let mine = std::fs::read_to_string(&admin.kubeconfig)?;
    let person = Person::new(admin.file("config", &mine)?)?;
    person.runs("kubeconfig demo --merge")?.expect(0, &[]);
    let merged = person.runs("kubeconfig demo --as-user bob --merge")?;
    merged.expect(0, &["Use it: kubectl --context demo-bob auth whoami"]);
    person
        .runs("kubeconfig demo --as-user bob --context-name demo --merge")?
        .expect(8, &["entry \"demo\" already", "hint: choose another name"]);
    let names = |part: &str| -> Result<Vec<String>> {
        let view = kubectl(&person.kubeconfig, "config view -o json")?.json()?;
        let list = view[part].as_array().context("no list")?;
        let names = list.iter().filter_map(|entry| entry["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    };
    for part in ["contexts", "clusters", "users"] {
        assert_eq!(names(part)?, ["demo", "demo-bob", "mothership"], "{part}");
    }
    let who = kubectl(
        &person.kubeconfig,
        "--context demo-bob auth whoami -o jsonpath={.status.userInfo.username}",
    )?;
    assert_eq!(who.stdout, "bob");
    person
        .runs("kubeconfig demo --remove --as-user bob")?
        .expect(0, &["Removed what --merge brought"]);
    assert_eq!(names("contexts")?, ["demo", "mothership"]);
    Ok(())
}

/// Whose kubeconfig the hosted cluster has given may ask and not approve.
async fn who_may_not_approve_leaves_nothing(
    light: &Light,
    admin: &Person,
    requests: &Api<CertificateSigningRequest>,
) -> Result<()> {
    let client = light.admin().await?;
    let role: ClusterRole = serde_json::from_value(json!({
        "metadata": {"name": "asker"},
        "rules": [{"apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests"],
            "verbs": ["create", "get", "delete"]}],
    }))?;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "asker"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "asker"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User",
            "name": "asker"}],
    }))?;
    let parameters = PostParams::default();
    Api::all(client.clone()).create(&parameters, &role).await?;
    Api::all(client).create(&parameters, &binding).await?;
    hosted_here(light, &light.kubeconfig("asker", &[])?).await?;
    let refused = admin.runs("kubeconfig demo --as-user carol")?;
    let refused = refused.expect(4, &["no permission to approve CertificateSigningRequest"]);
    assert_eq!(refused.stdout, "");
    let left = requests.list(&ListParams::default()).await?.items;
    assert!(left.is_empty(), "{left:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_get_an_address_only_where_the_certificate_holds_it() -> Result<()> {
    let (light, admin) = installed().await?;
    admin
        .runs("create demo --service NodePort --api-port 31443")?
        .expect(0, &[]);
    hosted_here(&light, &admin.kubeconfig).await?;
    let refused = admin.runs("kubeconfig demo --in-cluster")?.expect(
        9,
        &[
            "does not hold kmc-demo-nodeport.default.svc",
            "hint: k0s makes that certificate when it starts",
        ],
    );
    assert_eq!(refused.stdout, "");

    // Nobody is there to ask: it is written all the same, and said.
    let mut nowhere: Value = serde_json::from_str(&std::fs::read_to_string(&admin.kubeconfig)?)?;
    nowhere["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    hosted_here(&light, &admin.file("nowhere", &nowhere.to_string())?).await?;
    let written = admin
        .runs("kubeconfig demo --in-cluster --via direct -o json")?
        .expect(0, &["warning: whether the API server's certificate holds"]);
    let written = written.json()?;
    assert_eq!(
        written["clusters"][0]["cluster"]["server"],
        "https://kmc-demo-nodeport.default.svc:31443"
    );
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
    let query = admin.runs("list -v=6")?.expect(0, &["/clusters?"]);
    assert!(!query.stderr.contains("accept"), "{query:#?}");
    admin
        .runs("list -v=7 --as jane")?
        .expect(4, &["  accept: application/json", "Impersonate-User: jane"]);

    let whole = admin.runs("kubeconfig demo -v=9")?;
    let whole = whole.expect(0, &["Response body: {", "\"value\":\"<masked>\""]);
    let encoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&kubeconfig)
    };
    assert!(!whole.stderr.contains(key), "{whole:#?}");
    assert!(!whole.stderr.contains(encoded.get(..60).context("short")?));
    let submitted = admin.runs("create demo -v=8")?;
    submitted.expect(0, &["POST https://", "Request body: {", "201 Created"]);
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
