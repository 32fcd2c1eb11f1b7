//! Metrics in the OpenMetrics text format; names carry no object names.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    kind: String,
    outcome: String,
}

/// The controller's metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    reconciles: Family<OutcomeLabels, Histogram, fn() -> Histogram>,
    applies: Family<OutcomeLabels, Counter>,
    watch_errors: Family<KindLabel, Counter>,
    objects: Family<KindLabel, Gauge<f64, AtomicU64>>,
    leading: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("k0smotron");
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 14));
        let reconciles = Family::new_with_constructor(histogram);
        let metrics = Self {
            reconciles,
            applies: Family::default(),
            watch_errors: Family::default(),
            objects: Family::default(),
            leading: Gauge::default(),
            registry: Arc::default(),
        };
        registry.register(
            "reconcile_duration_seconds",
            "How long a reconcile took",
            metrics.reconciles.clone(),
        );
        registry.register(
            "apply",
            "Writes of children, by what came of them",
            metrics.applies.clone(),
        );
        registry.register(
            "watch_errors",
            "Watches that had to start again",
            metrics.watch_errors.clone(),
        );
        registry.register(
            "store_objects",
            "Objects kept in memory",
            metrics.objects.clone(),
        );
        registry.register(
            "leader",
            "Whether this replica leads: 1 if so, else 0",
            metrics.leading.clone(),
        );
        Self {
            registry: Arc::new(Mutex::new(registry)),
            ..metrics
        }
    }
}

impl Metrics {
    /// A reconcile of this kind ended.
    pub fn reconciled(&self, kind: &str, outcome: &str, seconds: f64) {
        self.reconciles
            .get_or_create(&OutcomeLabels {
                kind: kind.to_owned(),
                outcome: outcome.to_owned(),
            })
            .observe(seconds);
    }

    /// A child of this kind was written.
    pub fn applied(&self, kind: &str, outcome: &str) {
        self.applies
            .get_or_create(&OutcomeLabels {
                kind: kind.to_owned(),
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    /// A watch of this kind failed.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_errors
            .get_or_create(&KindLabel {
                kind: kind.to_owned(),
            })
            .inc();
    }

    /// Whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// The text that a scrape gets; `objects` is counted at that moment.
    pub fn render(&self, objects: impl IntoIterator<Item = (&'static str, usize)>) -> String {
        for (kind, count) in objects {
            #[expect(clippy::cast_precision_loss, reason = "no store holds 2^52 objects")]
            self.objects
                .get_or_create(&KindLabel {
                    kind: kind.to_owned(),
                })
                .set(count as f64);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }
}
