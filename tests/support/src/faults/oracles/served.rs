//! What hosted APIs have to do with: availability is what they do, and tokens end where they are valid.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Finding, Kind};
use crate::faults::history::{Change, What};
use crate::faults::hosted::{PLACE, secret_name};
use crate::faults::stage::Stage;
use crate::light::children::{at, text};

/// How soon what a client feels is in the condition.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

fn available(change: &Change) -> Option<bool> {
    let mut conditions = at(&change.object, "/status/conditions")
        .as_array()
        .into_iter()
        .flatten();
    let found = conditions.find(|condition| text(condition, "/type") == "Available")?;
    Some(text(found, "/status") == "True")
}

/// `Available` says True of what does not serve, or stops saying so of what does.
pub fn untrue(stage: &Stage, changes: &[Change]) -> Vec<Finding> {
    let mut all = BTreeSet::new();
    // While hosted APIs are disturbed there is no telling what a client feels.
    let disturbed: Vec<_> = stage
        .records()
        .into_iter()
        .filter(|record| record.fault.is_some() && record.point.call.starts_with(PLACE))
        .map(|record| record.at)
        .collect();
    let clusters = changes.iter().enumerate();
    for (index, change) in clusters.filter(|(_, change)| change.kind == "Cluster") {
        let says = available(change);
        let since = |moment| {
            let (since, serves) = stage.hosted.as_ref()?.at(&change.name, moment)?;
            Some((change.at.duration_since(since), serves))
        };
        let now = since(change.at);
        if says == Some(true) && now.is_none_or(|(ago, serves)| !serves && ago > SEEN_WITHIN) {
            all.insert(format!(
                "{} says Available, and nothing serves",
                change.name
            ));
        }
        let before = changes
            .iter()
            .take(index)
            .rfind(|before| before.kind == "Cluster" && before.name == change.name);
        let was = before
            .filter(|before| before.what != What::Deleted)
            .and_then(available);
        let recent = |at: &Instant| {
            change
                .at
                .checked_duration_since(*at)
                .is_some_and(|ago| ago < 2 * SEEN_WITHIN)
        };
        if was == Some(true)
            && says != Some(true)
            && at(&change.object, "/metadata/deletionTimestamp").is_null()
            && now.is_some_and(|(ago, serves)| serves && ago > SEEN_WITHIN)
            && !disturbed.iter().any(recent)
        {
            all.insert(format!(
                "{} serves, and stops saying Available",
                change.name
            ));
        }
    }
    all.extend(late(stage, changes, &disturbed));
    all.into_iter()
        .map(|what| Finding::new(Kind::Untrue, what))
        .collect()
}

/// What has begun or ceased to serve is not said in time.
fn late(stage: &Stage, changes: &[Change], disturbed: &[Instant]) -> Vec<String> {
    let Some(hosted) = &stage.hosted else {
        return Vec::new();
    };
    // Whoever waits for an answer, or does not run, sees nothing.
    let limit = SEEN_WITHIN + stage.lasts() + stage.gives_up;
    let mut all = Vec::new();
    for (cluster, times) in hosted.times() {
        let ends = times.iter().skip(1).map(|(at, _)| *at);
        for ((at, serves), end) in times.iter().zip(ends.chain([Instant::now()])) {
            let told = *at + limit;
            if told > end || disturbed.iter().any(|moment| (*at..told).contains(moment)) {
                continue;
            }
            let its = changes
                .iter()
                .filter(|change| change.kind == "Cluster" && change.name == cluster);
            let Some(change) = its.take_while(|change| change.at <= told).last() else {
                continue;
            };
            let ends = change.what == What::Deleted
                || !text(&change.object, "/metadata/deletionTimestamp").is_empty();
            let says = available(change);
            if !ends && says != Some(*serves) {
                let is = if *serves { "serves" } else { "does not serve" };
                all.push(format!(
                    "{cluster} {is} for {:.0} s, and Available is {says:?}",
                    limit.as_secs_f64()
                ));
            }
        }
    }
    all
}

/// The tokens that are valid are those of requests that are there, and no others.
pub async fn tokens(stage: &Stage) -> Result<Vec<Finding>> {
    let Some(hosted) = &stage.hosted else {
        return Ok(Vec::new());
    };
    let objects = stage.objects();
    let requests = objects
        .iter()
        .filter(|(key, _)| key.starts_with("JoinTokenRequest/"));
    let ids: BTreeSet<_> = requests
        .map(|(_, request)| secret_name(text(request, "/status/tokenID")))
        .collect();
    stage.remember_tokens().await?;
    let valid = hosted.tokens().await?;
    let left = valid.keys().filter(|name| !ids.contains(*name));
    Ok(left
        .map(|name| format!("{name} is valid, and no request has it"))
        .map(|what| Finding::new(Kind::Token, what))
        .collect())
}
