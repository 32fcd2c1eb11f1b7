//! What the count of the hosted cluster's nodes has to do with it. What an earlier process could not count
//! stays so until this one knows.

use crds::v1beta2::ClusterStatus;

use super::conditions::{ConditionFinding, earlier};
use super::{FUNCTIONAL, Facts};
use crate::hosted::nodes::Count;

/// What a message ends with while nodes are not known, and why.
const UNCOUNTED: &str = "the nodes are not known, as they could not be counted for long: ";

/// Records the count. One that can be repeated no more says nothing: upgrades are judged by it.
pub(super) fn record(count: &Count, status: &mut ClusterStatus) {
    match count {
        Count::Unknown => {}
        Count::Known(nodes) => status.nodes = Some(nodes.clone()),
        // Without a version nothing else proves that the cluster has served.
        Count::Failed(_) if status.version.is_none() => {
            if let Some(nodes) = &mut status.nodes {
                nodes.oldest_kubelet = None;
            }
        }
        Count::Failed(_) => status.nodes = None,
    }
}

/// What was found of an API that answers, and that it does not let its nodes be counted.
pub(super) fn with_count(facts: &Facts<'_>, found: ConditionFinding) -> ConditionFinding {
    let (said, _) = apart(&found.message);
    let told = earlier(facts.cluster.status.as_ref(), FUNCTIONAL);
    let why = match &facts.nodes {
        Count::Known(_) => None,
        Count::Failed(why) => Some(why.as_str()),
        Count::Unknown => told.as_ref().and_then(|told| apart(&told.message).1),
    };
    let uncounted = why.map(|why| format!("{UNCOUNTED}{why}"));
    let all = [said.to_owned()].into_iter().chain(uncounted);
    let all: Vec<_> = all.filter(|said| !said.is_empty()).collect();
    ConditionFinding {
        message: all.join("; "),
        ..found
    }
}

/// What a message says of all else, and why nodes are not known if it says that too.
pub(super) fn apart(message: &str) -> (&str, Option<&str>) {
    match message.rsplit_once(UNCOUNTED) {
        Some((said, why)) => (said.strip_suffix("; ").unwrap_or(said), Some(why)),
        None => (message, None),
    }
}
