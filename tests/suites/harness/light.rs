//! The light level.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use mothership::{Light, LightOptions};
use serde_json::json;

use crate::support::wait_until_gone;

#[tokio::test]
async fn a_light_mothership_serves_tells_users_apart_and_ends_without_trace() {
    let light = Light::start(LightOptions::default()).await.unwrap();
    let dir = light.dir().to_owned();
    eprintln!(
        "light mothership ready after {:.1} s",
        light.ready_after.as_secs_f64()
    );

    let client = light.client("somebody", &["system:masters"]).await.unwrap();
    let mark = light.audit().mark();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "one"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    maps.create(
        &PostParams {
            dry_run: true,
            ..PostParams::default()
        },
        &map,
    )
    .await
    .unwrap_err();
    maps.get("one").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let counts = light.audit().count("somebody", mark).unwrap();
    assert_eq!(counts.total(), 3, "{counts}");
    assert_eq!(
        light
            .audit()
            .count_writes("somebody", mark)
            .unwrap()
            .total(),
        1
    );
    assert_eq!(light.audit().count("nobody", mark).unwrap().total(), 0);

    drop(light);
    wait_until_gone(&dir);
    assert!(!dir.exists(), "{} is left", dir.display());
}

#[tokio::test]
async fn two_light_motherships_live_side_by_side() {
    let (one, two) = tokio::join!(
        Light::start(LightOptions::default()),
        Light::start(LightOptions::default())
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.server(), two.server());
    one.admin()
        .await
        .unwrap()
        .apiserver_version()
        .await
        .unwrap();
    two.admin()
        .await
        .unwrap()
        .apiserver_version()
        .await
        .unwrap();
}
