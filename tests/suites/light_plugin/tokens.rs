//! Tokens: what is listed, what is revoked, and what is left alone.

use anyhow::Result;
use crds::v1beta2::JoinTokenRequest;
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
