//! What schema and webhook say of each value together, as `--dry-run=server` shows it.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};
use support::light::scene::Scene;

use crate::choice::chosen;
use crate::fields::{Kind, kinds};
use crate::values::all;

/// How many values `make test` tries.
const SHARE: usize = 1000;
const AT_ONCE: usize = 8;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    /// With its message.
    Refused(String),
    /// Neither.
    Broken(String),
}

pub fn answer(result: Result<DynamicObject, kube::Error>) -> Answer {
    match result {
        Ok(_) => Answer::Accepted,
        Err(kube::Error::Api(status))
            if (400..500).contains(&status.code) && status.code != 429 =>
        {
            Answer::Refused(status.message.clone())
        }
        Err(error) => Answer::Broken(format!("{error:?}")),
    }
}

/// Asks whether an object with this spec could be created.
pub async fn ask(client: &Client, namespace: &str, kind: &Kind, spec: &Value) -> Answer {
    let gvk = GroupVersionKind::gvk("k0smotron.io", "v1beta2", kind.name);
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural);
    let api: Api<DynamicObject> = if kind.name == "ClusterPolicy" {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, &resource)
    };
    let mut object = DynamicObject::new("x", &resource);
    object.data = json!({ "spec": spec });
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    answer(api.create(&dry_run, &object).await)
}

pub async fn every_value_is_accepted_or_refused_by_name(scene: &Scene) -> Result<()> {
    let kinds = kinds()?;
    let all = all(&kinds);
    let count = all.len();
    let (cases, how) = chosen(all, SHARE, count)?;
    scene.say(format!("{} of {count} values ({how})", cases.len()));
    let accepted = AtomicUsize::new(0);
    let failures: Vec<String> = futures::stream::iter(&cases)
        .map(|case| async {
            let wrong = match ask(&scene.admin, &scene.namespace, case.kind, &case.spec).await {
                Answer::Accepted => {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    let kept = case.what != "gone" || !case.field.is_required(case.kind);
                    (!kept).then(|| "accepted without a required field".to_owned())
                }
                Answer::Refused(message) => {
                    let obeyed = message
                        .chars()
                        .any(|c| c != '\n' && crds::validation::is_obeyed(c));
                    if obeyed {
                        Some(format!("not fit for a terminal: {message:?}"))
                    } else if case.field.is_named_in(&message) {
                        None
                    } else {
                        Some(format!("not named: {message}"))
                    }
                }
                Answer::Broken(error) => Some(error),
            };
            wrong.map(|wrong| {
                let wrong: String = wrong.chars().take(600).collect();
                let spec: String = case.spec.to_string().chars().take(300).collect();
                format!("{}: {wrong}\n    {spec}", case.title())
            })
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|failure| async { failure })
        .collect()
        .await;
    scene.say(format!("{} accepted", accepted.into_inner()));
    ensure!(
        failures.is_empty(),
        "{} of {} ({how}; again with FIELDS=NUMBER,…):\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    Ok(())
}
