//! Tokens: what is listed, what is revoked, and what is left alone.

use std::time::Duration;

use anyhow::Result;
use crds::names::JOIN_TOKEN_REQUEST_FINALIZER;
use crds::v1beta2::JoinTokenRequest;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::scene::installed;

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_listed_with_what_they_are_worth_and_revoked_by_name_or_kind() -> Result<()> {
    let (light, admin) = installed().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(light.admin().await?, "default");
    for (name, cluster, until) in [
        ("one", "demo", "2099-01-01T00:00:00Z"),
        ("two", "demo", "2026-01-01T00:00:00Z"),
        ("three", "other", "2099-01-01T00:00:00Z"),
    ] {
        let request = serde_json::from_value(json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
            "metadata": {"name": name}, "spec": {"clusterName": cluster, "expiry": "1h"},
        }))?;
        requests.create(&PostParams::default(), &request).await?;
        let created = json!({"type": "JoinTokenSecretCreated", "status": "True",
            "reason": "Created", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"status": {"tokenID": "a1b2c3", "expiresAt": until,
            "conditions": [created]}});
        requests
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await?;
    }
    let names = async || -> Result<Vec<String>> {
        let list = requests.list(&ListParams::default()).await?;
        Ok(list
            .into_iter()
            .filter_map(|item| item.metadata.name)
            .collect())
    };

    let listed = admin.runs("token list")?.expect(0, &[]);
    let words: Vec<Vec<&str>> = listed
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0],
        ["NAME", "CLUSTER", "ROLE", "STATE", "EXPIRES", "AGE"]
    );
    let states: Vec<_> = words.iter().skip(1).map(|row| (row[0], row[3])).collect();
    assert_eq!(
        states,
        [("one", "valid"), ("three", "valid"), ("two", "expired")]
    );
    let listed = admin.runs("token list other -A -o name")?.expect(0, &[]);
    assert_eq!(listed.stdout, "jointokenrequest.k0smotron.io/three\n");

    admin
        .runs("token revoke one twi")?
        .expect(3, &["hint: did you mean two?"]);
    for how in ["client", "server"] {
        let line = format!("token revoke --all --of demo --dry-run={how}");
        let ended = admin.runs(&line)?.expect(0, &[]);
        assert_eq!(ended.stdout.lines().count(), 2, "{ended:#?}");
    }
    assert_eq!(names().await?.len(), 3);

    admin.runs("token revoke --expired")?.expect(0, &[]);
    assert_eq!(names().await?, ["one", "three"]);
    admin.runs("token revoke --all --of demo")?.expect(0, &[]);
    assert_eq!(names().await?, ["three"]);
    let ended = admin.runs("token revoke three")?.expect(0, &[]);
    assert_eq!(
        ended.stdout,
        "jointokenrequest.k0smotron.io/three revoked\n"
    );
    admin
        .runs("token list")?
        .expect(0, &["No join tokens found in namespace \"default\"."]);
    light.down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_called_revoked_once_no_machine_joins_with_it() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    let events: Api<Event> = Api::namespaced(client, "default");
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);
    let held = async |name: &str| -> Result<String> {
        let request = serde_json::from_value(json!({
            "apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
            "metadata": {"name": name, "finalizers": [JOIN_TOKEN_REQUEST_FINALIZER]},
            "spec": {"clusterName": "demo", "expiry": "1h"},
        }))?;
        let made = requests.create(&PostParams::default(), &request).await?;
        let deleting = json!({"type": "Deleting", "status": "True", "reason": "HostedUnreachable",
            "message": "no route to host", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"status": {"tokenID": "a1b2c3", "conditions": [deleting]}});
        requests
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await?;
        Ok(made.metadata.uid.unwrap_or_default())
    };
    let let_go = async |name: &str| -> Result<()> {
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        requests.patch(name, &PatchParams::default(), &none).await?;
        Ok(())
    };
    let uid = held("one").await?;
    let why = "HostedUnreachable: no route to host";
    let ended = admin.runs("token revoke one --no-wait")?.expect(0, &[]);
    assert_eq!(
        ended.stdout,
        "jointokenrequest.k0smotron.io/one is being revoked\n"
    );
    let line = "token revoke one --timeout 1s";
    let ended = admin.runs(line)?.expect(7, &[why, "token list"]);
    assert_eq!(ended.stdout, "");
    admin
        .runs("rotate tokens demo --timeout 1s")?
        .expect(7, &[why]);

    // In the order in which the controller does it.
    let event = json!({"metadata": {"name": "behind"}, "type": "Warning",
        "reason": "TokenLeftBehind", "message": "the token a1b2c3 was not revoked",
        "involvedObject": {"kind": "JoinTokenRequest", "namespace": "default", "name": "one",
            "uid": uid}});
    let event = serde_json::from_value(event)?;
    events.create(&PostParams::default(), &event).await?;
    let revoke = admin.starts("token revoke one")?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let_go("one").await?;
    let ended = revoke.ends()?.expect(
        1,
        &[
            "may still let machines join: one: the token a1b2c3 was not revoked",
            "kubectl k0smotron exec demo -n default -- kubectl -n kube-system delete secret \
             bootstrap-token-a1b2c3",
        ],
    );
    assert_eq!(ended.stdout, "");

    // The finalizer goes by somebody's hand.
    held("two").await?;
    let rotate = admin.starts("rotate tokens demo")?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let_go("two").await?;
    let ended = rotate
        .ends()?
        .expect(1, &["two: when it was last seen", why]);
    assert_eq!(ended.stdout, "");
    light.down().await
}
