//! The custom resource definitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, JSON, JSONSchemaProps,
    JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ServiceReference, WebhookClientConfig,
    WebhookConversion,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::{names, v1beta1, v1beta2};

/// Every definition.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![cluster(), cluster_policy(), join_token_request()]
}

/// The definition of Clusters.
pub fn cluster() -> CustomResourceDefinition {
    let mut definition = both(v1beta2::Cluster::crd(), v1beta1::Cluster::crd());
    for root in roots(&mut definition) {
        // A Cluster without a spec is one with a NodePort.
        root.required = None;
        if let Some(spec) = root
            .properties
            .as_mut()
            .and_then(|fields| fields.get_mut("spec"))
        {
            spec.default = Some(JSON(json!({"service": {"type": "NodePort"}})));
        }
    }
    definition
}

/// The definition of `ClusterPolicies`.
pub fn cluster_policy() -> CustomResourceDefinition {
    finished(v1beta2::ClusterPolicy::crd())
}

/// The definition of `JoinTokenRequests`.
pub fn join_token_request() -> CustomResourceDefinition {
    both(
        v1beta2::JoinTokenRequest::crd(),
        v1beta1::JoinTokenRequest::crd(),
    )
}

/// One definition of both versions, of which the first is stored.
fn both(
    stored: CustomResourceDefinition,
    served: CustomResourceDefinition,
) -> CustomResourceDefinition {
    let mut definition = stored;
    for mut version in served.spec.versions {
        version.storage = false;
        definition.spec.versions.push(version);
    }
    definition.spec.conversion = Some(conversion());
    finished(definition)
}

fn finished(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for root in roots(&mut definition) {
        root.title = None;
        tidy(root);
    }
    definition
}

/// The webhook fills in the `caBundle`, which changes with its certificates.
fn conversion() -> CustomResourceConversion {
    CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig {
                service: Some(ServiceReference {
                    name: names::CONVERSION_SERVICE.to_owned(),
                    namespace: names::SYSTEM_NAMESPACE.to_owned(),
                    path: Some(names::CONVERSION_PATH.to_owned()),
                    port: Some(names::CONVERSION_PORT),
                }),
                ..WebhookClientConfig::default()
            }),
            conversion_review_versions: vec!["v1".to_owned()],
        }),
    }
}

fn roots(definition: &mut CustomResourceDefinition) -> impl Iterator<Item = &mut JSONSchemaProps> {
    definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
}

/// Takes out what the derive put in and the product does not want.
fn tidy(schema: &mut JSONSchemaProps) {
    // Without it the API server drops an explicit null, and where there is a default takes that:
    // what is stored never holds one.
    schema.nullable = None;
    // Doc comments are wrapped for the reader of the source, `kubectl explain` wraps for itself.
    schema.description = schema.description.take().map(|text| unwrapped(&text));
    for inner in schema
        .properties
        .iter_mut()
        .flat_map(|fields| fields.values_mut())
    {
        tidy(inner);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(inner)) = schema.items.as_mut() {
        tidy(inner);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = schema.additional_properties.as_mut() {
        tidy(inner);
    }
}

fn unwrapped(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
