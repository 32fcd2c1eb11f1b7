//! Who gets into a hosted cluster with which rights. The mothership plays the hosted API as well: its
//! controller manager signs certificates.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use mothership::Light;
use mothership::components::Components;
use mothership::progress::Progress;
use serde_json::{Value, json};

use crate::person::{Ended, Person};
use crate::scene::{installed, secret, until};

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
pub async fn hosted_here(light: &Light, whom: &Path) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(light.admin().await?, "default");
    let text = std::fs::read_to_string(whom)?;
    let found = secret("demo-kubeconfig", "value", &text)?;
    let parameters = PatchParams::apply("test");
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
        let list = view
            .get(part)
            .and_then(Value::as_array)
            .context("no list")?;
        let names = list.iter().filter_map(|entry| entry["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    };
    for part in ["contexts", "clusters", "users"] {
        let found = names(part)?;
        assert!(
            found.starts_with(&["demo".into(), "demo-bob".into()]),
            "{found:?}"
        );
        assert_eq!(found.len(), 3, "{found:?}");
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

/// A webhook that takes connections and never answers: an approval hangs on it.
fn stalling(port: u16) -> Result<ValidatingWebhookConfiguration> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": "stalling"},
        "webhooks": [{
            "name": "stalling.example.org",
            "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
            "rules": [{"apiGroups": ["certificates.k8s.io"], "apiVersions": ["v1"],
                "operations": ["UPDATE"], "resources": ["certificatesigningrequests/approval"]}],
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 30,
        }],
    }))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_takes_the_request_back() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    admin.runs("create demo --service NodePort")?.expect(0, &[]);
    hosted_here(&light, &admin.kubeconfig).await?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let webhook = stalling(listener.local_addr()?.port())?;
    let parameters = PostParams::default();
    Api::all(client.clone())
        .create(&parameters, &webhook)
        .await?;
    let requests: Api<CertificateSigningRequest> = Api::all(client);
    let ended = until(async || {
        let mut child = admin.starts("kubeconfig demo --as-user dave --via direct")?;
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            // Until the webhook is known, there is nothing to interrupt.
            if child.has_ended()? {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        child.interrupted().map(Some)
    })
    .await?;
    let left = requests.list(&ListParams::default()).await?.items;
    assert!(left.is_empty(), "{left:#?}");
    let ended = ended.expect(130, &["interrupted: nothing was changed"]);
    assert_eq!(ended.stdout, "");
    light.down().await
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
async fn a_way_that_is_held_open_leaves_no_file_and_overwrites_none() -> Result<()> {
    let (light, admin) = installed().await?;
    admin.runs("create demo --service NodePort")?.expect(0, &[]);
    hosted_here(&light, &admin.kubeconfig).await?;
    let file = admin.home.path().join("way");
    let line = format!(
        "connect demo --via direct --kubeconfig-file {}",
        file.display()
    );
    let held = admin.starts(&line)?;
    until(async || Ok(file.exists().then_some(()))).await?;
    kubectl(&file, "get namespaces -o name")?.expect(0, &[]);
    held.interrupted()?.expect(
        130,
        &["answers at https://", "interrupted: the way is closed"],
    );
    assert!(!file.exists());

    std::fs::write(&file, "something else")?;
    admin.runs(&line)?.expect(
        8,
        &["the file exists", "hint: remove it, or name another file"],
    );
    assert_eq!(std::fs::read_to_string(&file)?, "something else");
    light.down().await
}
