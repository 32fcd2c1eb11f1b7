//! When the webhook's certificates are due for renewal, and what is to be done about them, decided
//! from what is there: each after two thirds of its life.
//!
//! A new CA is first [prepared](Change::Prepare): kept beside the current one and published
//! in every bundle. Once every bundle has held it for [`Timings::settle`], it is
//! [promoted](Change::Promote): the leaf comes from it. Once every replica has had
//! [`Timings::grace`] to take up that leaf, the old CA is [forgotten](Change::Forget). So
//! at every moment each leaf in use can be verified with each bundle in use.

use jiff::{SignedDuration, Timestamp};
use pki::{BACKDATE, renew_at};

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it was made: a little after its first valid second.
    pub made: Timestamp,
    /// Its last valid second.
    pub until: Timestamp,
}

impl Span {
    fn holds(self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Not yet is what a replica has left behind whose clock was ahead.
    fn has_begun(self, now: Timestamp) -> bool {
        self.made <= add(now, BACKDATE)
    }

    /// After two thirds of its life it is time for the next one.
    fn renewal(self) -> Timestamp {
        renew_at(self.made, self.until.max(self.made))
    }
}

/// A CA, as the plan looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ca {
    /// Its certificate in PEM.
    pub pem: String,
    /// Its life.
    pub span: Span,
    /// Its key is there, and fits.
    pub signs: bool,
}

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its life.
    pub span: Span,
    /// It is good for every wanted name.
    pub named: bool,
}

/// What the Secret holds. What could not be read counts as missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Material {
    /// The CA that signed the leaf.
    pub current: Option<Ca>,
    /// The certificate that is served, if its key is there and the current CA signed it.
    pub leaf: Option<Leaf>,
    /// The CA that will sign the next leaf.
    pub next: Option<Ca>,
    /// The CA before the current one.
    pub old: Option<Ca>,
    /// When the current CA became that, or was first seen to be: by the clock of whoever asks.
    pub promoted: Option<Timestamp>,
}

/// A `caBundle`, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What it holds.
    pub text: String,
    /// Since when, as far as this process knows.
    pub since: Timestamp,
}

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Life of a CA.
    pub ca: SignedDuration,
    /// Life of a leaf.
    pub leaf: SignedDuration,
    /// The longest that an API server goes by a bundle that has been changed.
    pub settle: SignedDuration,
    /// The longest that a replica serves a leaf that has been replaced.
    pub grace: SignedDuration,
}

impl Timings {
    /// Those for certificates that live this long: 10 s for the API servers and 60 s for the
    /// replicas, or less where the leaf's own life is short.
    pub fn new(ca: SignedDuration, leaf: SignedDuration) -> Self {
        Self {
            ca,
            leaf,
            settle: SignedDuration::from_secs(10).min(leaf / 10),
            grace: SignedDuration::from_secs(60).min(leaf / 3),
        }
    }
}

/// A change of the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new CA and a leaf of it, and nothing of what was there: it was of no use.
    Begin,
    /// A next CA.
    Prepare,
    /// The next CA becomes the current one and signs a new leaf; the current one is old.
    Promote,
    /// A new leaf of the current CA.
    Issue,
    /// The old CA goes.
    Forget,
}

/// What to do now, and when to ask again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What every bundle shall hold, when some do not.
    pub publish: Option<String>,
    /// What to do with the Secret.
    pub change: Option<Change>,
    /// When to ask again, if nothing happens before.
    pub again: Timestamp,
}

/// What has to be done. `bundles` are all that there are, or `None` while that is not known: then
/// no CA is promoted.
pub fn plan(
    material: &Material,
    bundles: Option<&[Bundle]>,
    timings: Timings,
    now: Timestamp,
) -> Step {
    let valid = |ca: &&Ca| ca.span.holds(now);
    let signs = |ca: &Ca| ca.signs && ca.span.has_begun(now);
    let current = material.current.as_ref().filter(valid);
    let next = material
        .next
        .as_ref()
        .filter(valid)
        .filter(|next| signs(next));
    let leaf = material.leaf.as_ref().filter(|leaf| leaf.span.holds(now));
    let change = |change| Step {
        publish: None,
        change: Some(change),
        again: now,
    };
    let (Some(current), Some(leaf)) = (current, leaf) else {
        // Nothing can be verified now, so nothing can be broken either.
        return change(match (current, next) {
            (Some(current), _) if signs(current) => Change::Issue,
            (_, Some(_)) => Change::Promote,
            _ => Change::Begin,
        });
    };
    let old = material.old.as_ref().filter(valid);
    let wanted = bundle([Some(current), next, old]);
    let publish = bundles
        .is_some_and(|bundles| bundles.iter().any(|bundle| bundle.text != wanted))
        .then_some(wanted);
    let mut times = Times {
        now,
        first: leaf.span.until,
    };

    let step = if next.is_some() {
        let settled = bundles.filter(|_| publish.is_none()).map(|bundles| {
            let seen = bundles.iter().map(|bundle| bundle.since).max();
            seen.map_or(now, |seen| add(seen, timings.settle))
        });
        settled
            .is_some_and(|settled| times.due(settled))
            .then_some(Change::Promote)
    } else if material.old.is_some() && current.span.has_begun(now) {
        // One change at a time: the old CA has to go before there is a next one.
        None
    } else {
        (!signs(current) || times.due(current.span.renewal())).then_some(Change::Prepare)
    };
    let step = step.or_else(|| {
        // A leaf ends with its CA at the latest: a new one could not last longer.
        let longer = leaf.span.until < current.span.until;
        let due =
            !leaf.named || !leaf.span.has_begun(now) || (longer && times.due(leaf.span.renewal()));
        (signs(current) && due).then_some(Change::Issue)
    });
    let step = step.or_else(|| {
        let old = material.old.as_ref()?;
        let promoted = material.promoted.unwrap_or(leaf.span.made);
        let free = add(promoted, timings.grace).min(old.span.until);
        times.due(free).then_some(Change::Forget)
    });
    Step {
        publish,
        change: step,
        again: times.first,
    }
}

/// The text of a bundle of these CAs, whatever their order.
pub fn bundle<'a>(cas: impl IntoIterator<Item = Option<&'a Ca>>) -> String {
    let mut texts: Vec<&str> = cas
        .into_iter()
        .flatten()
        .map(|ca| ca.pem.as_str())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    texts.concat()
}

/// Finds the first of several moments that is still to come.
struct Times {
    now: Timestamp,
    first: Timestamp,
}

impl Times {
    fn due(&mut self, moment: Timestamp) -> bool {
        if moment <= self.now {
            return true;
        }
        self.first = self.first.min(moment);
        false
    }
}

fn add(moment: Timestamp, duration: SignedDuration) -> Timestamp {
    moment.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
