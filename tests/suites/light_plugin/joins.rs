//! Join tokens.

use anyhow::{Context as _, Result};
use crds::v1beta2::JoinTokenRequest;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::scene::{installed, packed, run_blocking, secret, token_kubeconfig, unpacked, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_is_asked_for_awaited_and_explained() -> Result<()> {
    let (light, admin) = installed().await?;
    let admin = std::sync::Arc::new(admin);
    let client = light.admin().await?;
    let requests: Api<JoinTokenRequest> = Api::namespaced(client.clone(), "default");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    let token = packed(&token_kubeconfig())?;
    admin
        .runs("create demo --version v1.36.3-k0s.2")?
        .expect(0, &[]);

    let late = admin.runs("join demo --timeout 1s --name late")?;
    late.expect(
        7,
        &[
            "timed out",
            "hint: read the token later",
            "hint: take it back",
        ],
    );
    admin
        .runs("join demo --name late")?
        .expect(8, &["already exists", "hint: leave --name out"]);

    let join = run_blocking(&admin, "join demo --ttl 90m");
    let request = until(async || {
        let found = requests.list(&ListParams::default()).await?;
        Ok(found
            .items
            .into_iter()
            .find(|request| request.metadata.name.as_deref() != Some("late")))
    })
    .await?;
    assert_eq!(request.spec.expiry, "1h30m0s");
    let name = request.metadata.name.context("no name")?;
    assert!(name.starts_with("demo-worker-"), "{name}");
    let status = json!({"status": {"tokenID": "a1b2c3", "expiresAt": "2099-01-01T00:00:00Z"}});
    requests
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    secrets
        .create(&PostParams::default(), &secret(&name, "token", &token)?)
        .await?;
    let ended = join.await??;
    let ended = ended.expect(
        0,
        &[
            "Token a1b2c3 (worker of default/demo) is valid until 2099-01-01T00:00:00Z",
            "Revoke it",
        ],
    );
    assert_eq!(ended.stdout.lines().count(), 1);
    assert!(
        ended.stdout.contains("K0S_VERSION=v1.36.3+k0s.2"),
        "{ended:#?}"
    );
    assert!(
        ended.stdout.contains("k0s install worker --token-file"),
        "{ended:#?}"
    );

    for (output, expected) in [("token", "H4sI"), ("cloud-init", "#cloud-config\n")] {
        let line: &'static str = format!("join demo --name as-{output} -o {output}").leak();
        let join = run_blocking(&admin, line);
        let name = format!("as-{output}");
        until(async || Ok(requests.get_opt(&name).await?)).await?;
        secrets
            .create(&PostParams::default(), &secret(&name, "token", &token)?)
            .await?;
        let status = Patch::Merge(json!({"status": {"tokenID": "a1b2c3"}}));
        requests
            .patch_status(&name, &PatchParams::default(), &status)
            .await?;
        let ended = join.await??.expect(0, &[]);
        assert!(ended.stdout.starts_with(expected), "{ended:#?}");
        if output == "token" {
            assert!(unpacked(&ended.stdout)?.contains("token: a1b2c3.x\n"));
        }
    }
    light.down().await
}
