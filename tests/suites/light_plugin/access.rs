//! Versions, policies and what is shown of requests.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use mothership::{Light, LightOptions};
use serde_json::json;

use crate::person::Person;

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
