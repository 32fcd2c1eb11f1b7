//! What control planes use, as far as somebody tells.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::json;

use crate::person::Person;
use crate::scene::{PATIENCE, installed, until};

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_told_by_metrics_k8s_io_or_not_at_all_where_no_kubelet_answers() -> Result<()> {
    let (light, admin) = installed().await?;
    let client = light.admin().await?;
    let new = PostParams::default();
    admin
        .runs("top -A")?
        .expect(0, &["No control planes found"]);
    admin.runs("create demo")?.expect(0, &[]);
    admin
        .runs("top demo")?
        .expect(0, &["Cluster demo has no pods", "status demo -n default"]);
    admin.runs("top dmo")?.expect(3, &["did you mean demo?"]);

    let node = json!({"metadata": {"name": "nobody"}});
    Api::<Node>::all(client.clone())
        .create(&new, &serde_json::from_value(node)?)
        .await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let account = serde_json::from_value(json!({"metadata": {"name": "default"}}))?;
    accounts.create(&new, &account).await.ok();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    for (cluster, component, name) in [
        ("demo", "cluster", "kmc-demo-0"),
        ("demo", "etcd", "kmc-demo-etcd-0"),
        ("web", "cluster", "kmc-web-0"),
    ] {
        let pod = json!({
            "metadata": {"name": name, "labels":
                {"app": "k0smotron", "cluster": cluster, "component": component}},
            "spec": {"nodeName": "nobody", "containers": [{"name": "c", "image": "k0s"}]},
        });
        pods.create(&new, &serde_json::from_value(pod)?).await?;
    }
    admin.runs("top")?.expect(
        1,
        &[
            "cannot tell what the pods use: metrics.k8s.io: it is not there; the kubelet of node nobody: ",
            "hint: install metrics-server",
            "hint: or ask for the right to get nodes/proxy",
        ],
    );
    let limited = Person::new(light.kubeconfig("limited", &[])?)?;
    limited
        .runs("top")?
        .expect(4, &["no permission to list pods"]);
    let role = json!({"metadata": {"name": "pods"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]});
    Api::<Role>::namespaced(client.clone(), "default")
        .create(&new, &serde_json::from_value(role)?)
        .await?;
    let binding = json!({"metadata": {"name": "pods"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}]});
    Api::<RoleBinding>::namespaced(client.clone(), "default")
        .create(&new, &serde_json::from_value(binding)?)
        .await?;
    // The API server learns of a Role a moment later.
    until(async || Ok((limited.runs("top")?.code == 1).then_some(()))).await?;
    limited.runs("top")?.expect(
        1,
        &[
            "metrics.k8s.io: ",
            "the kubelet of node nobody: nodes \"nobody\" is forbidden",
            "hint: or ask for the right to get nodes/proxy",
        ],
    );

    // The group as metrics-server serves it, for two of the three pods.
    let definition = json!({
        "metadata": {"name": "pods.metrics.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a trial"}},
        "spec": {
            "group": "metrics.k8s.io", "scope": "Namespaced",
            "names": {"kind": "PodMetrics", "plural": "pods", "singular": "pod"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "schema":
                {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions
        .create(&new, &serde_json::from_value(definition)?)
        .await?;
    let established = kube::runtime::wait::conditions::is_crd_established();
    let wait =
        kube::runtime::wait::await_condition(definitions, "pods.metrics.k8s.io", established);
    tokio::time::timeout(PATIENCE, wait).await??;
    let resource = ApiResource {
        group: "metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        api_version: "metrics.k8s.io/v1beta1".to_owned(),
        kind: "PodMetrics".to_owned(),
        plural: "pods".to_owned(),
    };
    let metrics: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
    for (cluster, component, name, cpu, memory) in [
        ("demo", "cluster", "kmc-demo-0", "123456789n", "300Mi"),
        ("web", "cluster", "kmc-web-0", "1", "1Gi"),
    ] {
        let item = json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": {"name": name, "labels":
                {"app": "k0smotron", "cluster": cluster, "component": component}},
            "timestamp": "2026-01-01T00:00:00Z", "window": "15s",
            "containers": [{"name": "c", "usage": {"cpu": cpu, "memory": memory}}],
        });
        metrics.create(&new, &serde_json::from_value(item)?).await?;
    }
    let told = admin
        .runs("top --sort-by cpu")?
        .expect(0, &["measured by metrics.k8s.io"]);
    assert_eq!(
        told.stdout,
        "CLUSTER   COMPONENT   POD               CPU(cores)   MEMORY(bytes)\n\
         web       cluster     kmc-web-0         1000m        1024Mi\n\
         web       total                         1000m        1024Mi\n\
         demo      cluster     kmc-demo-0        124m         300Mi\n\
         demo      etcd        kmc-demo-etcd-0   <unknown>    <unknown>\n\
         demo      total                         124m         300Mi\n"
    );
    let one = admin.runs("top demo --no-headers")?.expect(0, &[]);
    assert_eq!(one.stdout.lines().count(), 2, "{one:#?}");
    let containers = admin.runs("top demo --containers -o wide")?.expect(0, &[]);
    assert!(containers.stdout.contains("CONTAINER"), "{containers:#?}");
    assert!(containers.stdout.contains("nobody"), "{containers:#?}");
    let list = admin.runs("top -A -o json")?.expect(0, &[]).json()?;
    assert_eq!(list["items"][0]["usage"]["cpuMillicores"], 124);
    let names = admin.runs("top -o name")?.expect(0, &[]);
    assert!(
        names
            .stdout
            .starts_with("podmetrics.metrics.k8s.io/kmc-demo-0\n"),
        "{names:#?}"
    );
    light.down().await
}
