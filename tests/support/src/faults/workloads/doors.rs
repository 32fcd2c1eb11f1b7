//! Where the webhook is tested: what users may have and what they may not, and its certificate.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::small;
use crate::faults::asks::Wish;
use crate::faults::door::SECRET;
use crate::faults::stage::Stage;
use crate::light::children::at;

/// It ends within this time after it was told to: of the thirty seconds that it is installed with,
/// those are not for it that it serves on for less here.
const ENDS: Duration = Duration::from_secs(21);

fn spec(spec: &Value) -> Value {
    json!({ "spec": spec })
}

fn balanced() -> Value {
    spec(&json!({"version": "v1.36.3", "service": {"type": "LoadBalancer"}}))
}

fn policy(stage: &Stage, mut rules: Value) -> Value {
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}});
    json_patch::merge(&mut rules, &json!({"namespaceSelector": here}));
    spec(&rules)
}

/// What `kubectl rollout restart` and a node that is drained do.
async fn starts_again(stage: &Stage) -> Result<()> {
    stage.operator.ends(ENDS).await?;
    stage.operator.restart()
}

pub(super) async fn door(stage: &Stage) -> Result<()> {
    use Wish::{Change, Create, Delete};
    let token = |expiry: &str| spec(&json!({"clusterName": "one", "expiry": expiry}));
    let mut wrong = small();
    let provider = json!({"spec": {"network": {"provider": "Calico"}}});
    let named = json!({"k0sConfig": provider, "externalAddress": "https://x"});
    json_patch::merge(&mut wrong, &named);
    let fields = [
        "spec.k0sConfig.spec.network.provider",
        "spec.externalAddress",
    ];
    let wrong = Create("Cluster", "refused", spec(&wrong));
    // A busy API server takes its time to ask who has just been configured.
    stage.comes_to(wrong.clone(), false).await?;
    stage.may(Create("Cluster", "one", spec(&small()))).await?;
    stage.may_not(wrong, &fields).await?;

    // Whom a policy lets through.
    let rules = json!({"rules": [{"name": "odd", "expression": "object.spec.replicas > (1"}]});
    let faulty = Create("ClusterPolicy", "own", policy(stage, rules));
    stage.may_not(faulty, &["spec.rules[0].expression"]).await?;
    let rules = json!({"serviceTypes": ["ClusterIP"], "maxTokenLifetime": "24h",
        "defaults": {"labels": {"example.org/team": "blue"}}});
    stage
        .may(Create("ClusterPolicy", "own", policy(stage, rules)))
        .await?;
    let refused = || Create("Cluster", "refused", balanced());
    stage.comes_to(refused(), false).await?;
    stage.may_not(refused(), &["spec.service.type"]).await?;
    let endless = Create("JoinTokenRequest", "refused", token("0s"));
    stage.may_not(endless, &["spec.expiry"]).await?;
    stage
        .may(Create("JoinTokenRequest", "join", token("1h")))
        .await?;

    // Whoever starts decides by what is so before it decides at all.
    starts_again(stage).await?;
    if stage.may_be_old {
        stage.comes_to(refused(), false).await?;
    }
    stage.may_not(refused(), &["spec.service.type"]).await?;
    stage.may(Create("Cluster", "two", spec(&small()))).await?;

    // What is changed holds soon.
    let change = spec(&json!({"serviceTypes": ["LoadBalancer"]}));
    stage.may(Change("ClusterPolicy/own", change)).await?;
    let refused = || Create("Cluster", "refused", spec(&small()));
    stage.comes_to(refused(), false).await?;
    stage.may_not(refused(), &["spec.service.type"]).await?;
    stage.may(Create("Cluster", "three", balanced())).await?;
    let kept = |value: Value| json!({"metadata": {"annotations": {"k0smotron.io/protect": value}}});
    stage.may(Change("Cluster/one", kept("".into()))).await?;
    stage.may_not(Delete("Cluster/one"), &["protect"]).await?;
    stage.may(Change("Cluster/one", kept(Value::Null))).await?;
    stage.may(Delete("Cluster/one")).await?;
    stage.counts(1).await?;
    stage.opens().await?;
    stage.settles().await
}

/// The same, with what happens to the questions of the API server.
pub(super) async fn asked(stage: &Stage) -> Result<()> {
    door(stage).await
}

/// Its certificate is deleted and broken, and so is what the API server is told of it.
pub(super) async fn certificate(stage: &Stage) -> Result<()> {
    let door = stage.door.as_ref().context("there is no door")?;
    let decides = async || {
        stage.opens().await?;
        let small = || Wish::Create("Cluster", "one", spec(&small()));
        stage.comes_to(small(), true).await
    };
    decides().await?;
    stage.settles().await?;
    let authority = async || {
        let secret = stage.history.object(&stage.namespace, SECRET);
        secret.map(|secret| at(&secret, "/data/ca.crt").clone())
    };
    let first = authority().await;
    stage.delete(SECRET).await?;
    decides().await?;
    stage
        .patch(SECRET, json!({"data": {"tls.crt": "YnJva2Vu"}}))
        .await?;
    decides().await?;
    for (api, name) in door.holders() {
        door.break_bundle(&api, &name).await?;
        decides().await?;
    }
    starts_again(stage).await?;
    decides().await?;
    anyhow::ensure!(
        stage.may_lose_keys || first == authority().await,
        "there is another CA"
    );
    stage.settles().await
}
