//! Metrics in the OpenMetrics text format; no label carries the name of an object.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Admission {
    kind: &'static str,
    operation: &'static str,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

/// The webhook's metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    admissions: Family<Admission, Histogram, fn() -> Histogram>,
    conversions: Family<Outcome, Histogram, fn() -> Histogram>,
    inflight: Gauge,
    rejected: Family<Why, Counter>,
    handshakes: Family<Why, Counter>,
    not_after: Gauge<f64, AtomicU64>,
    reloads: Family<Outcome, Counter>,
    renewals: Family<Outcome, Counter>,
    audits: Family<Outcome, Counter>,
    watch_errors: Family<OfKind, Counter>,
    objects: Family<OfKind, Gauge>,
    leading: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram =
            || Histogram::new(exponential_buckets(0.000_05, 2.0, 15));
        let metrics = Self {
            registry: Arc::default(),
            admissions: Family::new_with_constructor(histogram),
            conversions: Family::new_with_constructor(histogram),
            inflight: Gauge::default(),
            rejected: Family::default(),
            handshakes: Family::default(),
            not_after: Gauge::default(),
            reloads: Family::default(),
            renewals: Family::default(),
            audits: Family::default(),
            watch_errors: Family::default(),
            objects: Family::default(),
            leading: Gauge::default(),
        };
        *metrics.registry.lock() = metrics.registered();
        metrics
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut registry = Registry::with_prefix("k0smotron_webhook");
        registry.register(
            "admission_duration_seconds",
            "How long it took to decide about a submitted object",
            self.admissions.clone(),
        );
        registry.register(
            "conversion_duration_seconds",
            "How long it took to convert the objects of a request",
            self.conversions.clone(),
        );
        registry.register("inflight", "Requests that are open", self.inflight.clone());
        registry.register(
            "rejected",
            "Requests and connections that were rejected unread, by reason",
            self.rejected.clone(),
        );
        registry.register(
            "tls_handshake_errors",
            "TLS handshakes that failed",
            self.handshakes.clone(),
        );
        registry.register(
            "certificate_not_after_seconds",
            "When the certificate that is served expires, in seconds since 1970",
            self.not_after.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Certificates that were read, by what came of them",
            self.reloads.clone(),
        );
        registry.register(
            "certificate_renewals",
            "Steps of renewing certificates and bundles, by what came of them",
            self.renewals.clone(),
        );
        registry.register(
            "policy_statuses",
            "Statuses of policies that were written, by what came of it",
            self.audits.clone(),
        );
        registry.register(
            "watch_errors",
            "Watches that had to start again",
            self.watch_errors.clone(),
        );
        registry.register(
            "store_objects",
            "Objects kept in memory",
            self.objects.clone(),
        );
        registry.register(
            "leader",
            "Whether this replica holds the lease: 1 if so, else 0",
            self.leading.clone(),
        );
        registry
    }

    /// An object of this kind was decided about.
    pub fn admitted(
        &self,
        kind: &'static str,
        operation: &'static str,
        verdict: &'static str,
        seconds: f64,
    ) {
        let labels = Admission {
            kind,
            operation,
            verdict,
        };
        self.admissions.get_or_create(&labels).observe(seconds);
    }

    /// Objects were converted, or not.
    pub fn converted(&self, result: &'static str, seconds: f64) {
        self.conversions
            .get_or_create(&Outcome { result })
            .observe(seconds);
    }

    /// A request is open for as long as what is returned lives.
    pub fn begin(&self) -> Open {
        self.inflight.inc();
        Open(self.inflight.clone())
    }

    /// A request or connection was not looked at.
    pub fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Why { reason }).inc();
    }

    /// A handshake failed.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshakes.get_or_create(&Why { reason }).inc();
    }

    /// A certificate was read: `served`, or why it is not.
    pub fn reloaded(&self, result: &'static str) {
        self.reloads.get_or_create(&Outcome { result }).inc();
    }

    /// The certificate that is served expires then.
    pub fn serves_until(&self, not_after: Timestamp) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds fit for 285 million years"
        )]
        self.not_after.set(not_after.as_second() as f64);
    }

    /// A step of renewal was taken: `done` or `failed`.
    pub fn renewed(&self, result: &'static str) {
        self.renewals.get_or_create(&Outcome { result }).inc();
    }

    /// The status of a policy was to be written: `written` or `failed`.
    pub fn audited(&self, result: &'static str) {
        self.audits.get_or_create(&Outcome { result }).inc();
    }

    /// A watch of this kind failed.
    pub fn watch_failed(&self, kind: &str) {
        let kind = kind.to_owned();
        self.watch_errors.get_or_create(&OfKind { kind }).inc();
    }

    /// Whether this replica renews certificates.
    pub fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// The text that a scrape gets; `objects` is counted at that moment.
    pub fn render(&self, objects: impl IntoIterator<Item = (&'static str, usize)>) -> String {
        for (kind, count) in objects {
            let kind = kind.to_owned();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.objects.get_or_create(&OfKind { kind }).set(count);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }
}

/// An open request.
pub struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
