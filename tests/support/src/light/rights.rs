//! The shipped rights, for a user of the suite's.

use anyhow::{Context as _, Result};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, Subject};
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};

use super::PRODUCT;

/// Gives a user every right that a ServiceAccount of the product is installed with, and no more:
/// each binding once more, for the user.
pub async fn grant(admin: &Client, account: &str, user: &str) -> Result<()> {
    let is_its = |subjects: Option<&Vec<Subject>>| {
        subjects.into_iter().flatten().any(|subject| {
            subject.kind == "ServiceAccount"
                && subject.name == account
                && subject.namespace.as_deref() == Some(PRODUCT)
        })
    };
    let subjects = Some(vec![Subject {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: "User".to_owned(),
        name: user.to_owned(),
        namespace: None,
    }]);
    let named = |name: String| ObjectMeta {
        name: Some(format!("{name}-{user}")),
        ..ObjectMeta::default()
    };
    let create = PostParams::default();
    let wide: Api<ClusterRoleBinding> = Api::all(admin.clone());
    for binding in wide.list(&ListParams::default()).await? {
        if is_its(binding.subjects.as_ref()) {
            let copy = ClusterRoleBinding {
                metadata: named(binding.name_any()),
                role_ref: binding.role_ref,
                subjects: subjects.clone(),
            };
            wide.create(&create, &copy)
                .await
                .context("binding a role")?;
        }
    }
    let narrow: Api<RoleBinding> = Api::namespaced(admin.clone(), PRODUCT);
    for binding in narrow.list(&ListParams::default()).await? {
        if is_its(binding.subjects.as_ref()) {
            let copy = RoleBinding {
                metadata: named(binding.name_any()),
                role_ref: binding.role_ref,
                subjects: subjects.clone(),
            };
            narrow
                .create(&create, &copy)
                .await
                .context("binding a role")?;
        }
    }
    Ok(())
}
