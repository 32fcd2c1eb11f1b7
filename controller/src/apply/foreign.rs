//! Whose an object is that has the name of a child.

use super::desired::{APPLIED_HASH, Content, Desired};
use super::key_recovery::is_orphaned;
use super::{Outcome, Problem};
use crate::kubernetes::store::Live;

/// Whether what is there may be written: it is judged by its owner, whoever made it.
pub(super) fn is_ours(wanted: &Desired, live: &Live, uid: &str) -> bool {
    live.is_owned_by(uid) || is_orphan(wanted, live) || is_dying_key(wanted, live)
}

/// Whether somebody took the owner reference off a child: what was applied last names the uid of
/// the owner, so nobody else's object has that hash.
pub(super) fn is_orphan(wanted: &Desired, live: &Live) -> bool {
    live.owner.is_none() && live.annotation(APPLIED_HASH).as_deref() == Some(wanted.hash())
}

/// Whether it is a key that was kept when its Cluster went, is used by this one, and is being
/// deleted: nobody else will bring it back.
fn is_dying_key(wanted: &Desired, live: &Live) -> bool {
    matches!(wanted.content, Content::Kept(_)) && is_orphaned(live)
}

/// Somebody else's object has the name of a child. A Secret of certificates that a user made
/// beforehand is used as it is; anything else is left alone and said.
pub(super) fn foreign(wanted: &Desired, live: &Live) -> Outcome {
    let users = live.owner.is_none();
    if users && matches!(wanted.content, Content::Kept(_)) && !live.deleting {
        return Outcome::Same;
    }
    let said = "already exists and does not belong to this Cluster: rename or delete it, or create the \
                Cluster under another name";
    Outcome::Problem(Problem::new(&wanted.key, said))
}
