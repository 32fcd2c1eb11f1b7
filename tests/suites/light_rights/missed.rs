//! Each right is taken away in turn: the API server refuses what needs it, and the log or a
//! condition says so. A right that nobody misses is one too many.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use crds::v1beta2::ClusterPolicy;
use futures::{Stream, StreamExt as _};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use mothership::audit::Mark;
use serde_json::json;
use support::light::process::Process;
use support::light::rights::{self, Right};
use support::light::scene::Scene;

use super::{Installed, is_asked_by_admission, life};

/// How many lives there are beside each other: they wait most of the time.
const AT_ONCE: usize = 12;
/// A line of the audit log may come after the answer.
const WRITTEN: Duration = Duration::from_secs(2);

pub async fn each_right_of_the_controller_is_missed_and_said(suite: &Installed) -> Result<()> {
    let admin = suite.world.admin();
    let shipped = rights::shipped(&admin, "k0smotron-controller-manager").await?;
    let life = async |(number, right): (usize, &Right)| {
        let name = format!("controller-{number}");
        let scene = suite.world.space(&name, &name).await?;
        all_but(&shipped, number, &scene).await?;
        let life = async {
            let namespace = format!("--namespace={name}");
            let lease = format!("--lease-namespace={name}");
            let args = ["--leader-elect", namespace.as_str(), lease.as_str()];
            life::of_a_cluster(&scene, &args).await
        };
        missed(&scene, &right.at(&name), life).await
    };
    let lives = futures::stream::iter(shipped.iter().enumerate()).map(life);
    report(suite, lives.buffer_unordered(AT_ONCE)).await
}

/// Gives the scene's user all rights but one, those of the product's namespace in its own.
async fn all_but(shipped: &[Right], without: usize, scene: &Scene) -> Result<()> {
    let moved: Vec<_> = (shipped.iter().enumerate())
        .filter(|(number, _)| *number != without)
        .map(|(_, right)| right.at(&scene.namespace))
        .collect();
    rights::give(&scene.admin, moved.iter(), &scene.user).await
}

/// Who keeps certificates writes all bundles: two would fight for them.
fn keeps_certificates(right: &Right) -> bool {
    match right.group.as_str() {
        "admissionregistration.k8s.io" | "apiextensions.k8s.io" => true,
        _ => right.resource == "secrets" && ["create", "update"].contains(&right.verb.as_str()),
    }
}

pub async fn each_right_of_the_webhook_is_missed_and_said(suite: &Installed) -> Result<()> {
    let admin = suite.world.admin();
    life::of_a_policy(&admin, "missed").await?;
    suite.stop_webhook().await?;
    let shipped = rights::shipped(&admin, "k0smotron-webhook").await?;
    let life = async |(number, right): (usize, &Right)| {
        let name = format!("webhook-{number}");
        let scene = suite.world.space(&name, &name).await?;
        all_but(&shipped, number, &scene).await?;
        let keeps = keeps_certificates(right);
        let life = async {
            let kubeconfig = scene.access.kubeconfig(&name, &[])?;
            let namespace = format!("--namespace={name}");
            let manages = format!("--manage-certificates={keeps}");
            let args = ["--listen=127.0.0.1:0", "--drain=1s", &namespace, &manages];
            let program = suite.world.webhook_program();
            let started = async {
                Process::start("the webhook", program, &kubeconfig, scene.log(), &args).await
            };
            let needed = async {
                if keeps {
                    life::of_a_certificate(&admin, &name).await?;
                } else if right.resource == "clusterpolicies/status" {
                    forget(&admin, "missed").await?;
                }
                Ok(())
            };
            futures::try_join!(started, needed).map(drop)
        };
        missed(&scene, &right.at(&name), life).await
    };
    let (alone, together): (Vec<_>, Vec<_>) =
        (shipped.iter().enumerate()).partition(|(_, right)| keeps_certificates(right));
    let alone = futures::stream::iter(alone).map(&life).buffer_unordered(1);
    let together = futures::stream::iter(together).map(&life);
    let together = together.buffer_unordered(AT_ONCE);
    report(suite, futures::stream::select(alone, together)).await
}

/// Takes away what was counted, again and again: those who may count do so beside it.
async fn forget(admin: &Client, policy: &str) -> Result<()> {
    let policies: Api<ClusterPolicy> = Api::all(admin.clone());
    loop {
        let nothing = Patch::Merge(json!({"status": null}));
        let params = PatchParams::default();
        policies.patch_status(policy, &params, &nothing).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Lives until the right is missed; how long that took.
async fn missed(
    scene: &Scene,
    right: &Right,
    life: impl Future<Output = Result<()>>,
) -> Result<Duration> {
    let (mark, began) = (scene.audit().mark(), Instant::now());
    let noticed = noticed(scene, right, mark);
    tokio::pin!(noticed);
    tokio::select! {
        noticed = &mut noticed => noticed?,
        ended = life => match (ended, tokio::time::timeout(WRITTEN, noticed).await) {
            (_, Ok(noticed)) => noticed?,
            (Ok(()), Err(_)) => bail!("{right}: nobody needs it, or nobody says so"),
            (Err(error), Err(_)) => return Err(error.context(format!("without {right}"))),
        },
    }
    Ok(began.elapsed())
}

/// Waits until something is refused and the log says what.
async fn noticed(scene: &Scene, right: &Right, mark: Mark) -> Result<()> {
    let cannot = |verb: &str| format!("cannot {verb} resource \"{}\"", right.resource);
    let refusals = if is_asked_by_admission(right) {
        vec!["cannot set an ownerRef on a resource you can't delete".to_owned()]
    } else if right.verb == "create" {
        // That is how the API server puts it when an apply would create.
        vec![cannot("create"), cannot("patch")]
    } else {
        vec![cannot(&right.verb)]
    };
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let log = std::fs::read_to_string(scene.log()).unwrap_or_default();
        let log = log.replace('\\', "");
        if !refusals.iter().any(|refusal| log.contains(refusal)) {
            continue;
        }
        let refused = scene.audit().since(mark)?.into_iter().any(|entry| {
            let code = entry.response_status.as_ref().map(|status| status.code);
            let is_for = is_asked_by_admission(right) || right.is_for(&entry);
            code == Some(403) && entry.is_by(&scene.user) && is_for
        });
        if refused {
            return Ok(());
        }
    }
}

/// What came of all of them.
async fn report(suite: &Installed, outcomes: impl Stream<Item = Result<Duration>>) -> Result<()> {
    let (began, mut missed, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    let mut failed = Vec::new();
    tokio::pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(took) => {
                missed += 1;
                slowest = slowest.max(took);
            }
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    suite.say(format!(
        "{missed} rights, each missed within {:.1} s, all in {:.1} s",
        slowest.as_secs_f64(),
        began.elapsed().as_secs_f64()
    ));
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
