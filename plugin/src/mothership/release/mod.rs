//! Which release of the product is installed: what its Deployments say, and how that stands to
//! this program's own.

pub mod manifest;

use crds::names;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};

use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::{resources, view};

/// Name of the controller's Deployment.
pub const CONTROLLER: &str = "k0smotron-controller-manager";
/// Name of the webhook's Deployment.
pub const WEBHOOK: &str = "k0smotron-webhook";
/// The label of a Deployment whose image has no tag that names a version.
const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// This program's own version.
pub const fn own() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// One of the product's Deployments; `None` when there is none.
pub async fn deployment(
    connection: &Connection<'_>,
    name: &str,
) -> Result<Option<DynamicObject>, Error> {
    let product = names::SYSTEM_NAMESPACE;
    let api: Api<DynamicObject> =
        Api::namespaced_with(connection.client().clone(), product, &deployments());
    let attempt = format!("get Deployment {product}/{name}");
    match connection.call(&attempt, || api.get(name)).await {
        Err(error) if error.is_not_found() => Ok(None),
        other => other.map(Some),
    }
}

fn deployments() -> ApiResource {
    resources::resource("apps", "v1", "Deployment", "deployments")
}

/// The image of a Deployment's pods; empty when it has none.
pub fn image(deployment: &DynamicObject) -> String {
    view::text(deployment, "/spec/template/spec/containers/0/image").unwrap_or_default()
}

/// The version that a Deployment's pods are of, without the `v`: the tag of their image, or the
/// label where the image has none.
pub fn version(deployment: &DynamicObject) -> Option<String> {
    let image = image(deployment);
    let tagged = image.split('@').next().unwrap_or_default();
    let tag = tagged
        .rsplit_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.contains('/'));
    let labels = deployment.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(VERSION_LABEL));
    let version = tag.or_else(|| label.map(String::as_str))?;
    Some(version.trim_start_matches('v').to_owned())
}

/// Whether one version is newer than another; no when either is none.
pub fn is_newer(one: &str, other: &str) -> bool {
    matches!((read(one), read(other)), (Some(one), Some(other)) if one > other)
}

/// How this program stands to what is installed, where they are of different minor versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// This program is the older one.
    Behind,
    /// This program is the newer one.
    Ahead,
}

/// How `own` stands to what is `installed`; `None` when they go together, or either is no version.
pub fn skew(own: &str, installed: &str) -> Option<Skew> {
    let minor = |text| read(text).map(|version| (version.major, version.minor));
    match minor(own)?.cmp(&minor(installed)?) {
        std::cmp::Ordering::Less => Some(Skew::Behind),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Skew::Ahead),
    }
}

fn read(text: &str) -> Option<semver::Version> {
    semver::Version::parse(text).ok()
}

/// Objects like this one, in its namespace.
pub fn api(connection: &Connection<'_>, object: &DynamicObject) -> Api<DynamicObject> {
    let resource = manifest::resource(object);
    let client = connection.client().clone();
    match object.namespace() {
        Some(namespace) => Api::namespaced_with(client, &namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

/// Nothing of a product whose controller has the same name is touched.
pub async fn refuse_foreign(
    connection: &Connection<'_>,
    objects: &[DynamicObject],
    doing: &str,
    hint: &str,
) -> Result<(), Error> {
    let Some(controller) = objects
        .iter()
        .find(|object| manifest::is_controller(object))
    else {
        return Ok(());
    };
    let attempt = "look for another controller";
    let deployments = api(connection, controller);
    let name = controller.name_any();
    let found = connection
        .call(attempt, || deployments.get_opt(&name))
        .await?;
    if found.is_some_and(|found| manifest::is_foreign(&found)) {
        return Err(Error::Conflict {
            attempt: doing.to_owned(),
            answer: format!("{} belongs to another product", manifest::title(controller)),
            hint: hint.to_owned(),
        });
    }
    Ok(())
}

/// Names of objects of a kind in every namespace; none when the server does not know the kind.
pub async fn everywhere(
    connection: &Connection<'_>,
    resource: &kube::api::ApiResource,
    attempt: &str,
) -> Result<Vec<String>, Error> {
    let api = connection.api_everywhere(resource);
    let parameters = ListParams::default();
    match connection
        .call(attempt, || api.list_metadata(&parameters))
        .await
    {
        Ok(list) => Ok(list
            .items
            .into_iter()
            .map(|item| {
                let namespace = item.metadata.namespace.unwrap_or_default();
                format!("{namespace}/{}", item.metadata.name.unwrap_or_default())
            })
            .collect()),
        Err(Error::NotInstalled { .. } | Error::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::object;

    #[rstest]
    #[case("localhost:5000/k0smotron/controller:v0.2.0", Some("0.2.0"))]
    #[case("r.example.org/controller:0.2.0@sha256:00ff", Some("0.2.0"))]
    #[case("localhost:5000/k0smotron/controller", Some("0.3.0"))]
    #[case("r.example.org/controller@sha256:00ff", Some("0.3.0"))]
    fn the_tag_names_the_version_and_else_the_label(
        #[case] image: &str,
        #[case] found: Option<&str>,
    ) {
        let deployment = object(json!({
            "metadata": {"name": "c", "labels": {VERSION_LABEL: "v0.3.0"}},
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        }));
        assert_eq!(version(&deployment).as_deref(), found);
    }

    #[test]
    fn a_deployment_that_says_nothing_has_no_version() {
        let silent = object(json!({"metadata": {"name": "c"}, "spec": {}}));
        assert_eq!(version(&silent), None);
        assert_eq!(image(&silent), "");
    }

    #[rstest]
    #[case("0.1.0", "0.1.9", None)]
    #[case("0.1.0", "0.2.0", Some(Skew::Behind))]
    #[case("0.10.0", "0.9.0", Some(Skew::Ahead))]
    #[case("1.0.0", "0.9.0", Some(Skew::Ahead))]
    #[case("0.1.0", "latest", None)]
    fn minor_versions_apart_are_a_skew(
        #[case] own: &str,
        #[case] installed: &str,
        #[case] found: Option<Skew>,
    ) {
        assert_eq!(skew(own, installed), found);
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(is_newer("0.10.0", "0.9.0"));
        assert!(!is_newer("0.9.0", "0.9.0"));
        assert!(!is_newer("latest", "0.9.0"));
    }
}
