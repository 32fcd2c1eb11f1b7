//! Manifest stacks: each directory below `manifests` is applied, and what leaves it is deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::discovery::{Discovery, Scope, pinned_kind, verbs};
use kube::{Client, ResourceExt as _};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Context, until_leading};
use crate::api;

const POLL: Duration = Duration::from_secs(2);
const STACK: &str = "k0s.k0sproject.io/stack";
/// Tells what was applied from what merely carries a copy of the labels.
const APPLIED: &str = "k0s.k0sproject.io/stack-applied";

/// The files of the stacks, by stack and file name.
type Stacks = BTreeMap<String, BTreeMap<String, String>>;

/// Keeps the stacks applied while this controller leads.
pub async fn run(context: &Context, mut leading: watch::Receiver<bool>) {
    if !context.enabled("applier-manager") {
        return;
    }
    let mut done = Stacks::new();
    loop {
        until_leading(&mut leading).await;
        let wanted = scan(&context.paths.manifests());
        let names: BTreeSet<String> = wanted.keys().chain(done.keys()).cloned().collect();
        for name in names {
            let files = wanted.get(&name);
            if done.get(&name) == files {
                continue;
            }
            match apply_stack(&context.client, &name, files.unwrap_or(&BTreeMap::new())).await {
                Ok(count) => {
                    tracing::info!("stack {name}: {count} objects applied");
                    match files {
                        Some(files) => done.insert(name, files.clone()),
                        None => done.remove(&name),
                    };
                }
                Err(error) => tracing::warn!("stack {name}: {error:#}"),
            }
        }
        sleep(POLL).await;
        if !*leading.borrow() {
            // Another controller may change the stacks until this one leads again.
            done.clear();
        }
    }
}

/// Reads all stacks. Links are followed: a mounted ConfigMap is a directory of links.
fn scan(manifests: &Path) -> Stacks {
    let mut stacks = Stacks::new();
    for stack in entries(manifests).filter(|entry| entry.is_dir()) {
        let mut files = BTreeMap::new();
        for file in entries(&stack) {
            let yaml = file
                .extension()
                .is_some_and(|ending| ending == "yaml" || ending == "yml");
            if let (true, Some(name), Ok(content)) =
                (yaml, name_of(&file), std::fs::read_to_string(&file))
            {
                files.insert(name, content);
            }
        }
        if let Some(name) = name_of(&stack) {
            stacks.insert(name, files);
        }
    }
    stacks
}

fn entries(dir: &Path) -> impl Iterator<Item = std::path::PathBuf> + use<> {
    let found = std::fs::read_dir(dir).into_iter().flatten().flatten();
    found
        .map(|entry| entry.path())
        .filter(|path| name_of(path).is_some_and(|name| !name.starts_with('.')))
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
}

/// The objects of a stack's files, lists taken apart, definitions first.
fn objects(files: &BTreeMap<String, String>) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for (name, content) in files {
        let documents: Vec<Value> = serde_saphyr::from_multiple(content)
            .with_context(|| format!("{name} is not valid YAML"))?;
        for document in documents {
            match document.get("items").and_then(Value::as_array) {
                Some(items)
                    if document
                        .get("metadata")
                        .and_then(|m| m.get("name"))
                        .is_none() =>
                {
                    found.extend(items.iter().cloned());
                }
                _ if document.is_null() => {}
                _ => found.push(document),
            }
        }
    }
    found.sort_by_key(|object| match object.get("kind").and_then(Value::as_str) {
        Some("Namespace" | "CustomResourceDefinition") => 0,
        _ => 1,
    });
    Ok(found)
}

/// What tells objects apart: kind with group, namespace, name.
type Key = (String, String, Option<String>, String);

fn key(resource: &ApiResource, namespace: Option<&str>, name: &str) -> Key {
    (
        resource.group.clone(),
        resource.kind.clone(),
        namespace.map(str::to_owned),
        name.to_owned(),
    )
}

async fn apply_stack(
    client: &Client,
    stack: &str,
    files: &BTreeMap<String, String>,
) -> Result<usize> {
    let mut kinds = HashMap::new();
    let mut applied = BTreeSet::new();
    let mut failures = Vec::new();
    for object in objects(files)? {
        match apply(client, stack, object, &mut kinds).await {
            Ok(key) => {
                applied.insert(key);
            }
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("; "));
    prune(client, stack, &applied)
        .await
        .context("failed to prune")?;
    Ok(applied.len())
}

async fn apply(
    client: &Client,
    stack: &str,
    mut object: Value,
    kinds: &mut HashMap<GroupVersionKind, (ApiResource, bool)>,
) -> Result<Key> {
    let text = |object: &Value, pointer| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let api_version = text(&object, "/apiVersion").context("an object without apiVersion")?;
    let kind = text(&object, "/kind").context("an object without kind")?;
    let name =
        text(&object, "/metadata/name").with_context(|| format!("a {kind} without a name"))?;
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let gvk = GroupVersionKind::gvk(group, version, &kind);
    let (resource, namespaced) = if let Some(found) = kinds.get(&gvk) {
        found.clone()
    } else {
        let (resource, capabilities) = pinned_kind(client, &gvk).await.with_context(|| {
            format!("{api_version} {kind} is not known to the API server (yet)")
        })?;
        let found = (resource, capabilities.scope == Scope::Namespaced);
        kinds.insert(gvk, found.clone());
        found
    };
    let namespace = namespaced
        .then(|| text(&object, "/metadata/namespace").unwrap_or_else(|| "default".into()));
    let metadata = object
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .context("no metadata")?;
    put(metadata, "labels", STACK, stack);
    put(metadata, "annotations", APPLIED, stack);
    let api = api_in(client, &resource, namespace.as_deref());
    api.patch(
        &name,
        &PatchParams::apply(api::MANAGER).force(),
        &Patch::Apply(&object),
    )
    .await
    .with_context(|| format!("failed to apply {kind} {name}"))?;
    Ok(key(&resource, namespace.as_deref(), &name))
}

fn put(metadata: &mut Map<String, Value>, field: &str, name: &str, value: &str) {
    if let Some(map) = metadata
        .entry(field)
        .or_insert_with(|| json!({}))
        .as_object_mut()
    {
        map.insert(name.to_owned(), value.into());
    }
}

fn api_in(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Deletes what carries the stack's mark and is no longer in it.
async fn prune(client: &Client, stack: &str, keep: &BTreeSet<Key>) -> Result<()> {
    let discovery = Discovery::new(client.clone()).run().await?;
    let marked = ListParams::default().labels(&format!("{STACK}={stack}"));
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if !capabilities.supports_operation(verbs::LIST)
                || !capabilities.supports_operation(verbs::DELETE)
            {
                continue;
            }
            let listed = match api_in(client, &resource, None).list(&marked).await {
                Ok(listed) => listed,
                Err(error) if api::is_not_found(&error) || api::has_code(&error, 405) => continue,
                Err(error) => return Err(error.into()),
            };
            for object in listed {
                let name = object.name_any();
                let namespace = object.namespace();
                let ours = object
                    .annotations()
                    .get(APPLIED)
                    .is_some_and(|by| by == stack);
                if !ours || keep.contains(&key(&resource, namespace.as_deref(), &name)) {
                    continue;
                }
                tracing::info!("stack {stack}: deleting {} {name}", resource.kind);
                let api = api_in(client, &resource, namespace.as_deref());
                match api.delete(&name, &DeleteParams::background()).await {
                    Err(error) if !api::is_not_found(&error) => return Err(error.into()),
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_config_maps_are_read_through_their_links() {
        let dir = tempfile::tempdir().unwrap();
        let stack = dir.path().join("mine");
        std::fs::create_dir_all(stack.join("..2026")).unwrap();
        std::fs::write(stack.join("..2026/a.yaml"), "a: 1").unwrap();
        std::os::unix::fs::symlink("..2026", stack.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", stack.join("a.yaml")).unwrap();
        std::fs::write(stack.join("note.txt"), "no").unwrap();
        std::fs::write(dir.path().join("stray.yaml"), "b: 1").unwrap();
        let stacks = scan(dir.path());
        assert_eq!(
            stacks,
            Stacks::from([("mine".into(), [("a.yaml".into(), "a: 1".into())].into())])
        );
    }

    #[test]
    fn files_hold_documents_and_lists() {
        let file = "# nothing\n---\nkind: ConfigMap\n---\nkind: List\nitems: [{kind: Secret}, {kind: Namespace}]\n---\n";
        let found = objects(&[("a.yaml".to_owned(), file.to_owned())].into()).unwrap();
        let kinds: Vec<_> = found
            .iter()
            .map(|object| object["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["Namespace", "ConfigMap", "Secret"]);
        objects(&[("b.yaml".to_owned(), "a: [".to_owned())].into()).unwrap_err();
    }
}
