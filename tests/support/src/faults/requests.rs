//! What requests are for.

use mothership::proxy::{Record, Verb};

/// Whether it is for the program's lease, which is renewed whatever happens.
pub fn is_lease(record: &Record) -> bool {
    record.call.resource == "leases"
}

/// Whether a request is more than keeping a cache, a lease or a diary.
pub fn is_work(record: &Record) -> bool {
    !matches!(record.call.verb, Verb::List | Verb::Watch)
        && !record.call.resource.starts_with('/')
        && !matches!(record.call.resource.as_str(), "leases" | "events")
}

/// Whether a request has changed something, or could have.
pub fn is_write(record: &Record) -> bool {
    is_work(record) && record.call.verb.is_write() && !record.call.dry_run
}
