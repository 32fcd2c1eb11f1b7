//! Events about what a person should notice: conditions that flip.

use crds::v1beta2::{Cluster, ClusterStatus};

use super::{
    Context, reference,
    status::{ACCEPTED, APPLIED, AVAILABLE, EXPOSED, condition},
};

/// Publishes what the new status says otherwise than the old one.
pub fn publish(cluster: &Cluster, new: &ClusterStatus, context: &Context) {
    for type_ in [ACCEPTED, APPLIED, EXPOSED, AVAILABLE] {
        let Some(now) = condition(Some(new), type_) else {
            continue;
        };
        let before = condition(cluster.status.as_ref(), type_);
        if before.is_some_and(|before| before.status == now.status && before.reason == now.reason) {
            continue;
        }
        let note = if now.message.is_empty() {
            now.type_.clone()
        } else {
            now.message.clone()
        };
        match (type_, now.status.as_str()) {
            (AVAILABLE, "True") => {
                context
                    .events
                    .normal(&reference(cluster), "Available", &note);
            }
            // A Cluster that was never available is only starting.
            (AVAILABLE, _) if before.is_some_and(|before| before.status == "True") => {
                context
                    .events
                    .warning(&reference(cluster), &now.reason, &note);
            }
            (EXPOSED, _) if now.reason == "NodeGone" => {
                context
                    .events
                    .warning(&reference(cluster), &now.reason, &note);
            }
            (ACCEPTED | APPLIED | EXPOSED, "False") => {
                context
                    .events
                    .warning(&reference(cluster), &now.reason, &note);
            }
            _ => {}
        }
    }
}
