//! What keeps pods from being ready, by what a kubelet, the scheduler and the API server say of them.

use std::fmt;

use crds::validation::is_obeyed;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;

use super::Lacking;

/// Why a set has an event when the API server refuses its pod, or the claim of one.
pub const REFUSED: &str = "FailedCreate";
/// What a container waits for that starts as it should.
const STARTS: [&str; 3] = ["", "ContainerCreating", "PodInitializing"];
/// Both in turn, for as long as the image cannot be pulled.
const PULLS: [&str; 2] = ["ErrImagePull", "ImagePullBackOff"];
/// What else a kubelet says of images.
const IMAGES: [&str; 5] = [
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];
/// What a kubelet says between two attempts; while one is under way it says nothing.
const CRASHES: &str = "CrashLoopBackOff";
/// So often it has to have ended: the first time may be for want of what starts beside it.
const CRASHES_FROM: i32 = 2;
/// A container that runs for so long has recovered: a kubelet forgets its back-off then.
const RECOVERED: SignedDuration = SignedDuration::from_mins(10);
/// So long after a pod has got its node its volumes and its network are there: claims are attached by
/// then, and images are pulled later.
const PREPARED_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// Characters of somebody else's words that are shown.
const LONGEST: usize = 400;

/// What is wrong, in a text that stays the same for as long as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    what: String,
    /// Others' words, if there are any.
    said: String,
}

impl Trouble {
    /// What is wrong with whom, and what others say of it.
    pub fn new(what: &str, said: &str) -> Self {
        Self {
            what: readable(what),
            said: readable(said),
        }
    }

    /// Whether it is that of before. Words with a digit do not count in what others say: they number
    /// attempts, seconds, nodes and what is used of a quota.
    pub fn is_the_same(&self, other: &Self) -> bool {
        let words = |said: &str| -> Vec<String> {
            let words = said.split(' ');
            let plain = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
            plain.map(str::to_owned).collect()
        };
        self.what == other.what && words(&self.said) == words(&other.said)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.said.is_empty() {
            write!(f, ": {}", self.said)?;
        }
        Ok(())
    }
}

/// In one line of bounded length that no terminal obeys.
fn readable(text: &str) -> String {
    let plain: String = text
        .chars()
        .take(LONGEST * 16)
        .map(|c| if is_obeyed(c) { ' ' } else { c })
        .collect();
    let line: Vec<_> = plain.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// The worst first: what comes earliest in the life of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Refused,
    NotScheduled,
    NoImage,
    NotStarted,
    Ends,
    Gone,
}

type Found = (Stage, Trouble);

/// The worst that is wrong with the pods of these sets; of what is equally bad that of the first set.
/// Nothing, while all of it is a matter of time. Pods that have another owner do not count, whatever
/// their labels say.
pub fn trouble(
    sets: &[Lacking],
    pods: &[Pod],
    refusals: &[Event],
    now: Timestamp,
) -> Option<Trouble> {
    let found = sets.iter().flat_map(|set| {
        let own: Vec<&Pod> = pods.iter().filter(|pod| is_of(pod, &set.uid)).collect();
        let refused = refused(set, &own, refusals);
        let pods = own.into_iter().filter(|pod| !is_ready(pod));
        let pods = pods.flat_map(|pod| of_pod(pod, now)).collect::<Vec<_>>();
        refused.into_iter().chain(pods)
    });
    let worst = found.min_by_key(|(stage, _)| *stage);
    worst.map(|(_, trouble)| trouble)
}

/// Whether it is one of the set's with this uid.
pub fn is_of(pod: &Pod, set: &str) -> bool {
    let mut owners = pod.owner_references().iter();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == set)
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut conditions = status.and_then(|it| it.conditions.as_ref()).into_iter();
    conditions.any(|all| {
        all.iter()
            .any(|it| it.type_ == "Ready" && it.status == "True")
    })
}

/// What the API server said of a pod that was to be created last, unless one was after that: events
/// stay for an hour.
fn refused(set: &Lacking, own: &[&Pod], refusals: &[Event]) -> Option<Found> {
    if !set.misses_pods() {
        return None;
    }
    let born = own.iter().filter_map(|pod| pod.creation_timestamp());
    let newest = born.map(|time| time.0).max();
    let of_it = refusals.iter().filter(|event| {
        let regarding = event.regarding.as_ref();
        event.reason.as_deref() == Some(REFUSED)
            && regarding.and_then(|it| it.uid.as_ref()) == Some(&set.uid)
    });
    let (_, note) = of_it
        .filter_map(|event| Some((last_seen(event)?, event.note.as_deref()?)))
        .filter(|(at, _)| newest.is_none_or(|newest| *at >= newest))
        .max()?;
    let what = format!("StatefulSet {}: {REFUSED}", set.name);
    Some((Stage::Refused, Trouble::new(&what, &of_any_pod(set, note))))
}

/// When it happened last.
pub fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|it| it.last_observed_time.0);
    let counted = || event.deprecated_last_timestamp.as_ref().map(|time| time.0);
    let first = || event.event_time.as_ref().map(|time| time.0);
    series.or_else(counted).or_else(first)
}

/// Which of several pods was tried last changes all the time. `create Pod kmc-a-0 in StatefulSet kmc-a
/// failed error: pods "kmc-a-0" is forbidden: …`
fn of_any_pod(set: &Lacking, note: &str) -> String {
    let Some((begin, said)) = note.split_once(" failed error: ") else {
        return note.to_owned();
    };
    let named = begin.split_once("Pod ").map(|(_, rest)| rest);
    let pod = named.and_then(|rest| rest.split(' ').next());
    match pod.filter(|pod| pod.starts_with(&set.name)) {
        Some(pod) => said.replace(pod, &format!("{}-*", set.name)),
        None => said.to_owned(),
    }
}

fn of_pod(pod: &Pod, now: Timestamp) -> Vec<Found> {
    let name = pod.name_any();
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let said = |stage, reason: &str, message: Option<&String>| {
        let what = format!("pod {name}: {reason}");
        let message = message.map(String::as_str).unwrap_or_default();
        (stage, Trouble::new(&what, message))
    };
    // Evicted, or on a node that nobody hears of.
    if let Some(reason) = status.reason.as_deref().filter(|reason| !reason.is_empty()) {
        return vec![said(Stage::Gone, reason, status.message.as_ref())];
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let conditions = || status.conditions.iter().flatten();
    let unscheduled = conditions()
        .filter(|it| it.type_ == "PodScheduled" && it.status == "False")
        .filter_map(|it| Some((it.reason.as_deref()?, it.message.as_ref())));
    let unscheduled =
        unscheduled.map(|(reason, message)| said(Stage::NotScheduled, reason, message));
    let is =
        |type_: &str, says: &str| conditions().find(|it| it.type_ == type_ && it.status == says);
    let since = |type_: &str, says: &str| is(type_, says)?.last_transition_time.as_ref();
    let (placed, torn) = (
        since("PodScheduled", "True"),
        since("PodReadyToStartContainers", "False"),
    );
    // What a node that starts anew has to prepare once more was prepared before.
    let is_late = placed
        .zip(torn)
        .is_some_and(|(placed, torn)| now.duration_since(placed.max(torn).0) > PREPARED_WITHIN);
    let unprepared = is_late.then(|| {
        let what = format!("pod {name}: ContainerCreating");
        let said = "its volumes or its network are not prepared (FailedMount, \
                    FailedAttachVolume or FailedCreatePodSandBox in its events)";
        (Stage::NotStarted, Trouble::new(&what, said))
    });
    let init = status.init_container_statuses.iter().flatten();
    let containers = init.chain(status.container_statuses.iter().flatten());
    let containers = containers.filter_map(|it| of_container(&name, it, now));
    unscheduled.chain(unprepared).chain(containers).collect()
}

fn of_container(pod: &str, status: &ContainerStatus, now: Timestamp) -> Option<Found> {
    if status.ready {
        return None;
    }
    let said = |stage, reason: &str, message: &str| {
        let what = format!("pod {pod}, container {}: {reason}", status.name);
        Some((stage, Trouble::new(&what, message)))
    };
    let state = status.state.as_ref()?;
    let ended = || status.last_state.as_ref()?.terminated.as_ref();
    let crashes = |ended: Option<&ContainerStateTerminated>| {
        said(Stage::Ends, &format!("{CRASHES}{}", how(ended)), "")
    };
    let goes_round = |ended: Option<&ContainerStateTerminated>| {
        status.restart_count >= CRASHES_FROM && ended.is_some_and(|ended| ended.exit_code != 0)
    };
    if let Some(waiting) = &state.waiting {
        let message = waiting.message.as_deref().unwrap_or_default();
        return match waiting.reason.as_deref().unwrap_or_default() {
            reason if STARTS.contains(&reason) => None,
            CRASHES => crashes(ended()),
            reason if PULLS.contains(&reason) || IMAGES.contains(&reason) => {
                let reason = if PULLS.contains(&reason) {
                    "ImagePullBackOff"
                } else {
                    reason
                };
                let reason = format!("{reason} (image {})", status.image);
                said(Stage::NoImage, &reason, "")
            }
            reason => said(Stage::NotStarted, reason, message),
        };
    }
    if let Some(running) = &state.running {
        let since = running
            .started_at
            .as_ref()
            .map(|time| now.duration_since(time.0));
        let is_new = since.is_none_or(|since| since < RECOVERED);
        return if is_new && goes_round(ended()) {
            crashes(ended())
        } else {
            None
        };
    }
    let ended = state.terminated.as_ref();
    if goes_round(ended) {
        crashes(ended)
    } else {
        None
    }
}

/// ` (exit code 137, OOMKilled)`
fn how(ended: Option<&ContainerStateTerminated>) -> String {
    let Some(ended) = ended else {
        return String::new();
    };
    // That it was one says the code.
    let reason = ended
        .reason
        .as_deref()
        .filter(|it| !["", "Error"].contains(it));
    let reason = reason.map(|reason| format!(", {reason}"));
    format!(
        " (exit code {}{})",
        ended.exit_code,
        reason.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests;
