//! Two controllers and one lease.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use mothership::audit::Mark;
use serde_json::json;
use support::light::PRODUCT;
use support::light::process::Process;
use support::light::scene::Scene;
use support::light::until;

/// A candidate looks at the lease every 5 s; ten times that is a failure.
const HANDED_OVER: Duration = Duration::from_secs(50);
/// And waits for 15 s until one that is not renewed is free.
const TAKEN_OVER: Duration = Duration::from_secs(60);

async fn candidate(scene: &Scene, letter: &str) -> Result<Process> {
    let user = format!("{}-{letter}", scene.user);
    let namespace = format!("--namespace={}", scene.namespace);
    let identity = format!("--identity={letter}");
    scene
        .controller_as(&user, &["--leader-elect", &namespace, &identity])
        .await
}

/// Who holds the lease; the process id behind the name is left out.
async fn holder(scene: &Scene) -> Result<String> {
    let leases: Api<Lease> = Api::namespaced(scene.admin.clone(), PRODUCT);
    let lease = leases.get_opt("k0smotron-controller").await?;
    let identity = lease
        .and_then(|lease| lease.spec?.holder_identity)
        .unwrap_or_default();
    Ok(identity.split('_').next().unwrap_or_default().to_owned())
}

async fn holds(scene: &Scene, letter: &str, within: Duration) -> Result<Duration> {
    let ((), took) = until(
        &format!("{letter} holds the lease"),
        within,
        async || match holder(scene).await {
            Ok(holder) if holder == letter => Ok(()),
            Ok(holder) => Err(format!("{holder:?} does")),
            Err(error) => Err(format!("{error:#}")),
        },
    )
    .await?;
    Ok(took)
}

/// Edits a child again and again, so that whoever leads has to write all the time.
async fn disturb(scene: &Scene) -> Result<()> {
    loop {
        // Whether it is mended is not the question here.
        let patch = json!({"spec": {"selector": {"pod": "special"}}});
        scene.edit("Service/kmc-one", &patch).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Who wrote, in the order of the requests; the same one many times in a row counts once.
fn writers(scene: &Scene, mark: Mark) -> Result<Vec<String>> {
    let mut writes: Vec<_> = scene
        .audit()
        .since(mark)?
        .into_iter()
        .filter(|entry| entry.is_write() && !entry.is_lease_or_event())
        .filter_map(|entry| {
            let letter = entry
                .user
                .username
                .strip_prefix(&format!("{}-", scene.user))?
                .to_owned();
            Some((entry.request_received_timestamp, letter))
        })
        .collect();
    writes.sort();
    let mut letters: Vec<String> = writes.into_iter().map(|(_, letter)| letter).collect();
    letters.dedup();
    Ok(letters)
}

pub async fn of_two_candidates_one_writes_and_the_other_takes_over(scene: &Scene) -> Result<()> {
    let mark = scene.mark().await;
    let a = candidate(scene, "a").await?;
    holds(scene, "a", HANDED_OVER).await?;
    let b = candidate(scene, "b").await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    ensure!(
        writers(scene, mark)? == ["a"],
        "{:?}",
        writers(scene, mark)?
    );

    let takeovers = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        a.terminate()?;
        let ended = Instant::now();
        let took = holds(scene, "b", HANDED_OVER).await?;
        scene.say(format!(
            "after SIGTERM the other leads within {:.1} s",
            took.as_secs_f64()
        ));
        // The old one ended well, after it gave the lease back.
        a.stop().await.context("the old leader")?;
        ensure!(ended.elapsed() < HANDED_OVER, "the old leader lingered");

        let c = candidate(scene, "c").await?;
        // It has to see the lease once before it can see that nobody renews it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        ensure!(
            holder(scene).await? == "b",
            "the lease was taken from its holder"
        );
        b.kill()?;
        let took = holds(scene, "c", TAKEN_OVER).await?;
        scene.say(format!("after SIGKILL within {:.1} s", took.as_secs_f64()));
        ensure!(
            took > Duration::from_secs(9),
            "the lease was taken before its 15 s without a renewal were over"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(c)
    };
    let c = tokio::select! {
        outcome = takeovers => outcome?,
        Err(error) = disturb(scene) => return Err(error),
    };
    scene
        .complete("two", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let writers = writers(scene, mark)?;
    ensure!(
        writers == ["a", "b", "c"],
        "they wrote in turns: {writers:?}"
    );
    c.stop().await
}
