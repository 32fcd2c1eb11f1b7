//! Remembers the applies that change nothing, so that they are not repeated at every look.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::desired::Desired;
use crate::kubernetes::store::{Live, ObjectKey};

/// How long it holds. An admission webhook may write a field otherwise than we do, and nothing tells of
/// its end.
const HOLDS: Duration = Duration::from_secs(600);

/// Applies that left the resourceVersion alone (the API server writes a field otherwise than we
/// do): not repeated for a while, until what is wanted changes, or what is there in more than its status.
#[derive(Clone, Default)]
pub struct NoOpApplies(Arc<Mutex<HashMap<ObjectKey, Learnt>>>);

struct Learnt {
    hash: String,
    said: String,
    at: Instant,
}

impl NoOpApplies {
    /// For how long an apply is still taken to change nothing.
    pub(super) fn knows(&self, wanted: &Desired, live: &Live, now: Instant) -> Option<Duration> {
        let all = self.0.lock();
        let learnt = all.get(&wanted.key)?;
        let rest = HOLDS.checked_sub(now.saturating_duration_since(learnt.at));
        let rest = rest.filter(|rest| !rest.is_zero())?;
        (learnt.hash == wanted.hash() && learnt.said == live.said()).then_some(rest)
    }

    /// For how long it will be.
    pub(super) fn learn(&self, wanted: &Desired, live: &Live, now: Instant) -> Duration {
        let learnt = Learnt {
            hash: wanted.hash().to_owned(),
            said: live.said(),
            at: now,
        };
        self.0.lock().insert(wanted.key.clone(), learnt);
        HOLDS
    }

    /// Forgets what is gone.
    pub fn retain(&self, is_there: impl Fn(&ObjectKey) -> bool) {
        self.0.lock().retain(|key, _| is_there(key));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::{Value, json};

    use super::*;
    use crate::apply::fixtures::{Rig, declared, owners};
    use crate::kubernetes::fixtures::answer;
    use crate::kubernetes::store::Kind;

    /// The Secret as a webhook leaves it.
    fn rewritten() -> Value {
        let mut object = declared().body;
        object["metadata"]["uid"] = json!("u");
        object["metadata"]["resourceVersion"] = json!("7");
        object["metadata"]["labels"]["ours"] = json!("theirs");
        object["metadata"]["ownerReferences"] = owners();
        object
    }

    #[tokio::test]
    async fn an_apply_that_changes_nothing_is_tried_again_after_a_while() {
        let tries = Arc::new(AtomicU32::new(0));
        let counted = tries.clone();
        let rig = Rig::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { answer(&rewritten()) }
        });
        let (round, wanted) = (rig.round(), [declared()]);
        let object = serde_json::from_value(rewritten()).unwrap();
        round.store.put(Kind::Secret, object, 1);
        for _ in 0..3 {
            let applied = round.run(&wanted, &[].into()).await;
            assert!(!applied.changed && applied.left.is_empty() && applied.problems.is_empty());
            assert_eq!(applied.again, None, "nothing is in the way");
            let look = applied.look.unwrap();
            assert!(look <= HOLDS && look > HOLDS / 2, "{look:?}");
        }
        assert_eq!(tries.load(Ordering::Relaxed), 1);

        let live = round.store.get(&wanted[0].key).unwrap();
        let knows = |seconds| {
            let later = Instant::now() + Duration::from_secs(seconds);
            let known = round.no_op_applies.knows(&wanted[0], &live, later);
            known.is_some()
        };
        assert!(knows(500) && !knows(600), "the webhook may have gone");

        // Where nothing has to be applied nothing is looked at again.
        let mut as_wanted = rewritten();
        as_wanted["metadata"]["labels"]["ours"] = json!("x");
        as_wanted["metadata"]["resourceVersion"] = json!("8");
        round
            .store
            .put(Kind::Secret, serde_json::from_value(as_wanted).unwrap(), 1);
        assert_eq!(round.run(&wanted, &[].into()).await.look, None);
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }
    /// Each change of another client would have it tried once more.
    #[tokio::test]
    async fn an_apply_that_changes_nothing_is_paced() {
        let there = Arc::new(Mutex::new((0, rewritten())));
        let to = there.clone();
        let rig = Rig::new(move |_| {
            let (tries, object) = &mut *to.lock();
            *tries += 1;
            let object = object.clone();
            async move { answer(&object) }
        });
        let (round, wanted) = (rig.round(), [declared()]);
        for edit in 0..20 {
            let mut object = rewritten();
            object["metadata"]["annotations"]["note"] = json!(edit.to_string());
            object["metadata"]["resourceVersion"] = json!((edit + 10).to_string());
            there.lock().1 = object.clone();
            round
                .store
                .put(Kind::Secret, serde_json::from_value(object).unwrap(), 1);
            let applied = round.run(&wanted, &[].into()).await;
            assert!(!applied.changed && applied.problems.is_empty());
            assert_eq!(applied.left.is_empty(), edit < 5, "{edit}");
        }
        assert_eq!(there.lock().0, 5);
    }
}
