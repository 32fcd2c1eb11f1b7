//! What an earlier release has installed, and this one no longer has.

use std::collections::BTreeSet;

use crds::names;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, ObjectMeta};

use crate::error::Error;
use crate::flags::DryRun;
use crate::mothership::client::{Connection, FIELD_MANAGER};
use crate::mothership::release::manifest;
use crate::session::Session;

/// What everything carries that is installed.
const LABELS: &str = "app.kubernetes.io/name=k0smotron,app.kubernetes.io/part-of=k0smotron";

/// The kinds of which a release has had objects, those first that call or run others, and whether
/// they are in the product's namespace. Definitions and the namespace are never pruned: what users
/// have made would go with them.
const KINDS: [(&str, &str, &str, bool); 14] = [
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        false,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        false,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        false,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        false,
    ),
    ("apps", "v1", "Deployment", true),
    ("policy", "v1", "PodDisruptionBudget", true),
    ("networking.k8s.io", "v1", "NetworkPolicy", true),
    ("", "v1", "Service", true),
    ("", "v1", "ConfigMap", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", true),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        false,
    ),
    ("rbac.authorization.k8s.io", "v1", "Role", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", false),
    ("", "v1", "ServiceAccount", true),
];

/// Something that was installed, and is not among the objects of this release.
pub struct Leftover {
    /// `clusterrole/k0smotron-view`, as messages name it.
    pub title: String,
    api: Api<DynamicObject>,
    metadata: ObjectMeta,
}

/// What was installed before and is not among these objects. Kinds that may not be listed are said.
pub async fn leftovers(
    session: &Session,
    connection: &Connection<'_>,
    objects: &[DynamicObject],
) -> Result<Vec<Leftover>, Error> {
    let kept: BTreeSet<String> = objects.iter().map(manifest::title).collect();
    let mut left = Vec::new();
    for (group, version, kind, namespaced) in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let client = connection.client().clone();
        let api: Api<DynamicObject> = if namespaced {
            Api::namespaced_with(client, names::SYSTEM_NAMESPACE, &resource)
        } else {
            Api::all_with(client, &resource)
        };
        let listed = ListParams::default().labels(LABELS);
        let attempt = format!("list {} to prune them", resource.plural);
        let found = match connection
            .call(&attempt, || api.list_metadata(&listed))
            .await
        {
            Err(error @ Error::Forbidden { .. }) => {
                session.out.note(&format!("warning: {error}"));
                continue;
            }
            other => other?,
        };
        for found in found.items {
            let name = found.metadata.name.as_deref().unwrap_or_default();
            let title = format!("{}/{name}", kind.to_lowercase());
            if !kept.contains(&title) && is_installed(&found.metadata) {
                left.push(Leftover {
                    title,
                    api: api.clone(),
                    metadata: found.metadata,
                });
            }
        }
    }
    Ok(left)
}

/// Removes them, or tries to. Each is said when it has gone: the next one may fail.
pub async fn prune(
    session: &Session,
    connection: &Connection<'_>,
    leftovers: &[Leftover],
    dry_run: DryRun,
) -> Result<(), Error> {
    for Leftover {
        title,
        api,
        metadata,
    } in leftovers
    {
        if dry_run == DryRun::None {
            session.leaves(
                "what an earlier release has left is pruned in part",
                vec!["do the same again to prune the rest".to_owned()],
            );
        }
        if dry_run != DryRun::Client {
            let attempt = format!("prune {title}");
            let dry = dry_run == DryRun::Server;
            connection.delete(&attempt, api, metadata, dry).await?;
        }
        let suffix = dry_run.suffix();
        session.out.text(&format!("{title} pruned{suffix}\n"))?;
    }
    Ok(())
}

/// Whether `install` has applied it, and nobody else: the labels alone may be on an object of
/// anybody, such as one of an overlay, on the server's side or on kubectl's own. No release has had
/// other names than plain ones.
fn is_installed(metadata: &ObjectMeta) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let annotations = metadata.annotations.as_ref();
    if annotations
        .is_some_and(|annotations| annotations.contains_key(names::LAST_APPLIED_ANNOTATION))
    {
        return false;
    }
    let managers = metadata.managed_fields.iter().flatten();
    let mut appliers = managers
        .filter(|entry| entry.operation.as_deref() == Some("Apply"))
        .map(|entry| entry.manager.as_deref())
        .peekable();
    names::is_object_name(name)
        && appliers.peek().is_some()
        && appliers.all(|manager| manager == Some(FIELD_MANAGER))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_somebody_else_has_applied_as_well_stays() {
        let ours = json!({"manager": FIELD_MANAGER, "operation": "Apply"});
        let update = json!({"manager": "kubectl-edit", "operation": "Update"});
        let theirs = json!({"manager": "kubectl", "operation": "Apply"});
        let installed = |name: &str, managers: &[&serde_json::Value]| {
            let metadata = json!({"name": name, "managedFields": managers});
            is_installed(&serde_json::from_value(metadata).unwrap())
        };
        assert!(installed("a", &[&ours]));
        assert!(installed("a", &[&ours, &update]));
        assert!(!installed("a", &[&ours, &theirs]));
        assert!(!installed("a", &[&update]));
        assert!(!installed("a", &[]));
        let applied = json!({"name": "a", "managedFields": [ours],
            "annotations": {names::LAST_APPLIED_ANNOTATION: "{}"}});
        assert!(!is_installed(&serde_json::from_value(applied).unwrap()));
        assert!(!installed("a\u{1b}[2J", &[&ours]));
        assert!(!installed("?x", &[&ours]));
    }

    #[test]
    fn every_kind_that_is_installed_can_be_pruned() {
        for object in manifest::objects(None).unwrap() {
            let kind = manifest::kind(&object);
            let known = KINDS.iter().find(|(_, _, known, _)| *known == kind);
            let stays = matches!(kind, "CustomResourceDefinition" | "Namespace");
            assert_eq!(known.is_none(), stays, "{kind}");
            if let Some((_, _, _, namespaced)) = known {
                assert_eq!(*namespaced, object.metadata.namespace.is_some(), "{kind}");
            }
        }
    }
}
