//! Light motherships that are used again: to start one takes more of a processor than most cases do.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{Discovery, verbs};
use kube::{Client, ResourceExt as _};
use mothership::{Light, LightOptions};
use serde_json::json;

use super::until;

/// Those that no case uses at the moment.
static POOL: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

fn pool() -> MutexGuard<'static, Vec<Kept>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long what a case has made may take to go.
const CLEARED_WITHIN: Duration = Duration::from_secs(60);

struct Kept {
    light: Light,
    /// The uids of what there was before any case.
    first: BTreeSet<String>,
}

/// One with the product's kinds, for one case. It ends with a case that fails.
pub struct Lent(Option<Kept>);

impl Deref for Lent {
    type Target = Light;

    #[expect(
        clippy::expect_used,
        reason = "it is taken out by what takes the whole"
    )]
    fn deref(&self) -> &Light {
        &self.0.as_ref().expect("it is lent").light
    }
}

impl Lent {
    /// Gives it back: whatever the case has made is deleted.
    pub async fn down(mut self) -> Result<()> {
        let kept = self.0.take().context("it is lent")?;
        clear(&kept).await?;
        kept.light.keep(false)?;
        pool().push(kept);
        Ok(())
    }
}

/// One that nobody else uses.
pub async fn lend() -> Result<Lent> {
    let kept = pool().pop();
    let kept = match kept {
        Some(kept) => kept,
        None => start().await?,
    };
    kept.light.keep(true)?;
    Ok(Lent(Some(kept)))
}

async fn start() -> Result<Kept> {
    let light = Light::start(LightOptions::default()).await?;
    let client = light.admin().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in crds::definitions::all() {
        definitions
            .create(&PostParams::default(), &definition)
            .await?;
        let established = kube::runtime::wait::conditions::is_crd_established();
        let name = definition.name_any();
        let wait = kube::runtime::wait::await_condition(definitions.clone(), &name, established);
        tokio::time::timeout(CLEARED_WITHIN, wait).await??;
    }
    let first = all(&client).await?;
    let first = first.iter().filter_map(|(_, object)| object.uid());
    Ok(Kept {
        first: first.collect(),
        light,
    })
}

/// Everything that there is and can be deleted.
async fn all(client: &Client) -> Result<Vec<(Api<DynamicObject>, DynamicObject)>> {
    let mut all = Vec::new();
    let discovery = Discovery::new(client.clone()).run().await?;
    for group in discovery.groups() {
        for (resource, can) in group.recommended_resources() {
            if !can.supports_operation(verbs::LIST) || !can.supports_operation(verbs::DELETE) {
                continue;
            }
            let found = Api::<DynamicObject>::all_with(client.clone(), &resource)
                .list(&ListParams::default())
                .await?;
            for object in found {
                let api = match object.namespace() {
                    Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
                    None => Api::all_with(client.clone(), &resource),
                };
                all.push((api, object));
            }
        }
    }
    Ok(all)
}

/// Deletes what was not there at first. What the controllers of Kubernetes make anew is as it was.
async fn clear(kept: &Kept) -> Result<()> {
    let client = kept.light.admin().await?;
    let is_new = |object: &DynamicObject| {
        let uid = object.uid();
        uid.is_some_and(|uid| !kept.first.contains(&uid))
    };
    let mut made = all(&client).await?;
    made.retain(|(_, object)| is_new(object));
    for (api, object) in &made {
        let name = object.name_any();
        let nothing = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        if !object.finalizers().is_empty() {
            gone_is_well(api.patch(&name, &PatchParams::default(), &nothing).await)?;
        }
        gone_is_well(api.delete(&name, &DeleteParams::background()).await)?;
    }
    until("the mothership is as it was", CLEARED_WITHIN, async || {
        for (api, object) in &made {
            let there = api.get_opt(&object.name_any()).await;
            let there = there.map_err(|error| error.to_string())?;
            if there.is_some_and(|there| there.uid() == object.uid()) {
                return Err(format!("{} is there", object.name_any()));
            }
        }
        Ok(())
    })
    .await?;
    Ok(())
}

fn gone_is_well<T>(answer: kube::Result<T>) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}
