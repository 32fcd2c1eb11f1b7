//! What holds once all is done: nothing is written any more, nor after a restart, and what is changed
//! after that is followed as before.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mothership::proxy::Record;
use serde_json::json;

use super::oracles::{Finding, Kind, noise};
use super::requests::{is_lease, is_write};
use super::stage::{RECOVERS, Stage};

/// Waits until nothing is written any more, and sees that it stays so.
pub async fn rests(stage: &Stage, quiet: Duration) -> Option<Finding> {
    let done = Instant::now();
    // What was on its way may still arrive, and so may what others note on what was made.
    let since = loop {
        let last = stage.proxy.last(is_write).map_or(done, |at| at.max(done));
        if last.elapsed() >= quiet || done.elapsed() > quiet * 3 {
            break Instant::now().checked_sub(quiet).unwrap_or(done);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    noise(stage, since, "with nothing to do")
}

/// Starts the program again, and waits until it has read all there is: before that it could do nothing,
/// and to write nothing would be no proof.
pub async fn starts_again(stage: &Stage, quiet: Duration) -> Result<Vec<Finding>> {
    stage.operator.restart()?;
    let since = Instant::now();
    let is_asked = |record: &Record| !is_lease(record) && record.at >= since;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.operator.look_after()?;
        let last = stage.proxy.last(is_asked);
        if last.is_some_and(|last| last.elapsed() >= quiet || since.elapsed() > LEADS + quiet * 3) {
            break;
        }
        if since.elapsed() > RECOVERS + stage.lasts() {
            bail!("it asks for nothing after a restart");
        }
    }
    // What fails for the first time now is said, and that is a write.
    if is_struck_since(stage, since) {
        return Ok(Vec::new());
    }
    let noise = noise(stage, since, "after a restart with nothing to do");
    Ok(noise.into_iter().collect())
}

/// The longest that a program waits for the lease of one that was killed.
const LEADS: Duration = Duration::from_secs(20);

fn is_struck_since(stage: &Stage, moment: Instant) -> bool {
    stage.done_since().is_some_and(|ago| ago < moment.elapsed())
}

/// A change of every Cluster, and what it comes to: whatever was done to how the program started, it has
/// to see that.
pub async fn follows(stage: &Stage) -> Result<()> {
    let label = json!({"metadata": {"labels": {"example.org/later": "yes"}}});
    let objects = stage.objects();
    let clusters = objects
        .keys()
        .filter_map(|key| key.strip_prefix("Cluster/"));
    for cluster in clusters {
        stage.change(cluster, label.clone()).await?;
    }
    stage.settles().await
}

/// All of it, as it is for a plan; `later` says that a change follows if something was done to the start.
pub async fn after_all(stage: &Stage, quiet: Duration, later: bool) -> Result<Vec<Finding>> {
    let mut all: Vec<Finding> = rests(stage, quiet).await.into_iter().collect();
    if !all.is_empty() {
        return Ok(all);
    }
    let begun = Instant::now();
    match starts_again(stage, quiet).await {
        Ok(found) => all.extend(found),
        Err(error) => all.push(Finding::new(Kind::EndState, format!("{error:#}"))),
    }
    if later
        && all.is_empty()
        && is_struck_since(stage, begun)
        && let Err(error) = follows(stage).await
    {
        let what = format!("after a restart: {error:#}");
        all.push(Finding::new(Kind::EndState, what));
    }
    Ok(all)
}
