//! Who has every right uses every right, and is refused nothing.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use mothership::audit::{Audit, Counts, Entry};
use serde_json::Value;
use support::light::children::at;
use support::light::rights::{self, Right};
use support::light::scene::Scene;
use support::light::world::World;
use support::light::{PRODUCT, webhook};
use support::runner::World as _;

use super::{Installed, is_asked_by_admission, life};

const CONTROLLER: &str = "system:serviceaccount:k0smotron:k0smotron-controller-manager";
/// The namespace of the overlay.
const TENANTS: &str = "tenants";

pub async fn every_right_is_used_and_nothing_else_is_asked_for(suite: &Installed) -> Result<()> {
    let scene = suite.world.space("used", CONTROLLER).await?;
    suite.say(lives(&suite.world, &scene).await?);
    Ok(())
}

pub async fn the_overlay_for_one_namespace_is_enough_and_no_more(suite: &Installed) -> Result<()> {
    let world = World::overlay("deploy/overlays/namespaced", TENANTS).await?;
    let outcome = async {
        let scene = world.scene_in(TENANTS, CONTROLLER);
        suite.say(lives(&world, &scene).await?);
        Ok(())
    }
    .await;
    world.end(outcome.is_ok()).await?;
    outcome
}

/// Both programs as the accounts that they are installed with, and with those arguments.
async fn lives(world: &World, scene: &Scene) -> Result<String> {
    let admin = world.admin();
    let deployments: Api<Deployment> = Api::namespaced(admin.clone(), PRODUCT);
    let deployed = deployments.get("k0smotron-controller-manager").await?;
    let deployed = serde_json::to_value(deployed)?;
    let args = at(&deployed, "/spec/template/spec/containers/0/args").as_array();
    let args: Vec<_> = args
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    life::of_a_cluster(scene, &args).await?;
    life::of_a_policy(&admin, "used").await?;
    life::of_a_certificate(&admin, PRODUCT).await?;

    scene.mark().await;
    let mut counts = Vec::new();
    for (account, user) in [
        ("k0smotron-controller-manager", CONTROLLER),
        ("k0smotron-webhook", webhook::USER),
    ] {
        let shipped = rights::shipped(&admin, account).await?;
        check(&scene.audit(), &shipped, user)?;
        counts.push(format!("{} of {account}", shipped.len()));
    }
    Ok(format!("rights, all used: {}", counts.join(", ")))
}

fn check(audit: &Audit, shipped: &[Right], user: &str) -> Result<()> {
    let entries = audit.entries()?;
    let is_refused = |entry: &Entry| {
        let code = entry.response_status.as_ref().map(|status| status.code);
        matches!(code, Some(401 | 403))
    };
    let unused: BTreeSet<_> = shipped
        .iter()
        .filter(|right| !is_asked_by_admission(right))
        .filter(|right| {
            let used =
                |entry: &Entry| entry.is_by(user) && !is_refused(entry) && right.is_for(entry);
            !entries.iter().any(used)
        })
        .map(ToString::to_string)
        .collect();
    ensure!(unused.is_empty(), "{user} never used {unused:#?}");
    let refused = Counts::of(&entries, |entry| entry.is_by(user) && is_refused(entry));
    ensure!(refused.total() == 0, "{user} was refused:\n{refused}");
    Ok(())
}
