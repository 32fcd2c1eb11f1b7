//! What the controller makes of values that are accepted, and of their going away again.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use crds::names;
use kube::api::PostParams;
use serde_json::{Value, json};
use support::light::children::{differences, essence};
use support::light::scene::Scene;

use crate::admission::{Answer, answer, ask};
use crate::choice::chosen;
use crate::fields::{Kind, kinds};
use crate::values::{Case, all};

/// How many values are looked at for such as are accepted, about a half: in `make test`, and where all
/// are asked for. Each costs a second.
const SHARE: usize = 32;
const MOST: usize = 1200;
/// How many Clusters at a time.
const AT_ONCE: usize = 8;

pub async fn what_is_accepted_converges_or_is_said_and_leaves_nothing_behind(
    scene: &Scene,
) -> Result<()> {
    let kinds = kinds()?;
    let kind = kinds
        .iter()
        .find(|kind| kind.name == "Cluster")
        .context("no Cluster")?;
    let all = all(std::slice::from_ref(kind));
    // What is refused needs no controller.
    let (cases, how) = chosen(all, SHARE, MOST)?;
    let mut accepted = Vec::new();
    for case in cases {
        match ask(&scene.admin, &scene.namespace, kind, &case.spec).await {
            Answer::Accepted => accepted.push(case),
            Answer::Refused(_) => {}
            broken @ Answer::Broken(_) => bail!("{}: {broken:?}", case.title()),
        }
    }
    ensure!(!accepted.is_empty(), "nothing was accepted ({how})");
    let _controller = scene.controller().await?;
    let names: Vec<String> = (0..AT_ONCE).map(|number| format!("c{number}")).collect();
    for name in &names {
        scene.create(name, kind.base()).await?;
    }
    for name in &names {
        scene.completed(name).await?;
    }
    let before = essences(scene).await?;
    let (mut failures, mut unsaid) = (Vec::new(), 0);
    for cases in accepted.chunks(AT_ONCE) {
        let tried = all_of(scene, kind, cases, &names, &before).await;
        match tried {
            Ok((found, without)) => {
                failures.extend(found);
                unsaid += without;
            }
            Err(error) => {
                let titles: Vec<String> = cases.iter().map(Case::title).collect();
                failures.push(format!("{}: {error:#}", titles.join(", ")));
                break;
            }
        }
    }
    scene.say(format!(
        "{} values ({how}), {unsaid} of them refused as a change",
        accepted.len()
    ));
    ensure!(
        failures.is_empty(),
        "{} ({how}; again with FIELDS=NUMBER,…):\n{}",
        failures.len(),
        failures.join("\n")
    );
    Ok(())
}

/// A value for each Cluster, and back. What was wrong, and how many could not be changed at all.
async fn all_of(
    scene: &Scene,
    kind: &Kind,
    cases: &[Case<'_>],
    names: &[String],
    before: &BTreeMap<String, Value>,
) -> Result<(Vec<String>, usize)> {
    let (mut failures, mut refused) = (Vec::new(), 0);
    let mut tried = Vec::new();
    for (case, name) in cases.iter().zip(names) {
        match replace(scene, name, &case.spec).await? {
            Answer::Accepted => tried.push((case, name)),
            Answer::Refused(message) if case.field.is_named_in(&message) => refused += 1,
            Answer::Refused(text) | Answer::Broken(text) => {
                failures.push(format!("{}: as a change: {text}", case.title()));
            }
        }
    }
    scene.settled().await?;
    for (case, name) in &tried {
        if let Some(wrong) = unsaid(scene, case, name).await? {
            failures.push(format!("{}: {wrong}", case.title()));
        }
    }
    let mut back = Vec::new();
    for (case, name) in tried {
        match replace(scene, name, &kind.base()).await? {
            Answer::Accepted => back.push((case, name)),
            answer => {
                // What cannot be taken back goes with its Cluster.
                if !matches!(&answer, Answer::Refused(message) if case.field.is_named_in(message)) {
                    failures.push(format!("{}: on the way back: {answer:?}", case.title()));
                }
                scene
                    .clusters()
                    .delete(name, &kube::api::DeleteParams::default())
                    .await?;
                support::light::until("it is gone", support::light::PATIENCE, async || match scene
                    .clusters()
                    .get_opt(name)
                    .await
                {
                    Ok(None) => Ok(()),
                    other => Err(format!("{other:?}")),
                })
                .await?;
                scene.create(name, kind.base()).await?;
                scene.completed(name).await?;
            }
        }
    }
    scene.settled().await?;
    let after = essences(scene).await?;
    for (case, name) in back {
        let of = |all: &BTreeMap<String, Value>| -> Value {
            let own = |key: &str| {
                let child = key.split('/').nth(1).unwrap_or_default();
                child.split(['-', '.']).any(|part| part == name)
            };
            let own = all.iter().filter(|(key, _)| own(key));
            own.map(|(key, value)| (key.clone(), value.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let left = differences(&of(before), &of(&after));
        if !left.is_empty() {
            let left: String = left.join("; ").chars().take(900).collect();
            failures.push(format!("{}: leaves behind: {left}", case.title()));
        }
    }
    Ok((failures, refused))
}

/// Writes the whole spec.
async fn replace(scene: &Scene, name: &str, spec: &Value) -> Result<Answer> {
    // The controller writes the status meanwhile.
    for _ in 0..10 {
        let mut object = scene.raw().get(name).await?;
        if let Some(fields) = object.data.as_object_mut() {
            fields.insert("spec".to_owned(), spec.clone());
        }
        let answered = scene
            .raw()
            .replace(name, &PostParams::default(), &object)
            .await;
        if !matches!(&answered, Err(kube::Error::Api(status)) if status.code == 409) {
            return Ok(answer(answered));
        }
    }
    Ok(Answer::Broken("it is changed all the time".to_owned()))
}

/// What is wrong with what the controller says: everything is applied, or a condition says what is not,
/// and names the field where it is the spec that is refused.
async fn unsaid(scene: &Scene, case: &Case<'_>, name: &str) -> Result<Option<String>> {
    let cluster = scene.clusters().get(name).await?;
    let generation = cluster.metadata.generation;
    let status = cluster.status.unwrap_or_default();
    let condition = |type_: &str| status.conditions.iter().find(|found| found.type_ == type_);
    let (Some(accepted), Some(applied)) = (condition("Accepted"), condition("Applied")) else {
        return Ok(Some("it has no conditions".to_owned()));
    };
    let refused = accepted.status != "True";
    Ok(if accepted.observed_generation != generation {
        Some("Accepted is about another spec".to_owned())
    } else if refused && !case.field.is_named_in(&accepted.message) {
        Some(format!("Accepted does not name it: {}", accepted.message))
    } else if !refused && applied.status != "True" && !case.field.is_known_in(&applied.message) {
        Some(format!("Applied does not name it: {}", applied.message))
    } else {
        None
    })
}

/// All children, as far as they are the same when nothing was asked for: certificates are made anew
/// with other names in them, and what is told of them by digests is another.
async fn essences(scene: &Scene) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    let children = scene.children().await?;
    let read = |name: &str| {
        let volumes = children
            .values()
            .filter_map(|child| child.pointer("/spec/template/spec/volumes")?.as_array());
        let mut names = volumes
            .flatten()
            .filter_map(|volume| volume.pointer("/configMap/name"));
        names.any(|found| found == name)
    };
    for (key, object) in &children {
        let key = key.clone();
        let mut object = essence(object);
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        let cluster = name.split('-').nth(1).unwrap_or_default();
        // Pods of a revision have a ConfigMap of their own, whatever they go back to.
        if key.starts_with("ConfigMap/") && names::is_config_revision(cluster, &name) && read(&name)
        {
            continue;
        }
        let volumes = object.pointer_mut("/spec/template/spec/volumes");
        for volume in volumes.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(Value::String(config)) = volume.pointer_mut("/configMap/name")
                && names::is_config_revision(cluster, config)
            {
                *config = names::config(cluster);
            }
        }
        let is_ca = object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .is_some_and(|name| {
                ["-ca", "-sa", "-etcd", "-proxy"]
                    .iter()
                    .any(|end| name.ends_with(end))
            });
        if let Some(data) = object
            .get_mut("data")
            .filter(|_| key.starts_with("Secret/") && !is_ca)
        {
            let keys: Vec<String> = data
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key.clone())
                .collect();
            *data = json!(keys);
        }
        for pointer in [
            "/metadata/annotations",
            "/spec/template/metadata/annotations",
        ] {
            if let Some(notes) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
                notes.retain(|key, _| {
                    !(["digest", "hash", "not-after"]
                        .iter()
                        .any(|note| key.contains(note)))
                });
            }
        }
        all.insert(key, object);
    }
    Ok(all)
}
