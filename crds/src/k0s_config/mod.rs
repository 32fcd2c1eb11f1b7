//! The k0s configuration of a Cluster, held against what k0s itself makes of it at its start: a
//! table of its fields (`schema`, `network` and `kubelet`), what fields must be to each other (`rules`), and what the
//! product decides in the user's place (`ours`).
//!
//! What k0s takes is never refused, however odd: a cluster may run with it. Both the table and the
//! rules are held against the verdicts of a real k0s in `tests/admission/k0s_config.rs`.

mod arguments;
mod kind;
mod kubelet;
mod network;
mod ours;
mod ranges;
mod rules;
mod schema;
mod start;
mod stored;
mod text;
mod walk;

use serde_json::{Map, Value};

use self::kind::{Field, Kind};
use self::network::PROVIDERS;
use self::walk::Walk;
use crate::v1beta2::{Cluster, ClusterSpec};
use crate::validation::{Errors, Findings};
use crate::version::K0sVersion;
use crate::{k0s_flags, upgrade};

pub use ours::names_no_address;
pub(crate) use start::start;
pub(crate) use stored::images;
pub use stored::stored;

const PATH: &str = "spec.k0sConfig";

/// What k0s of the Cluster's version would end over, and what of the configuration has no effect.
pub(crate) fn findings(cluster: &Cluster) -> Findings {
    let Some(config) = &cluster.spec.k0s_config else {
        return Findings::default();
    };
    let mut errors = Errors::default();
    let Some(object) = config.as_object() else {
        errors.invalid(PATH, "", "must be an object");
        return Findings::new(errors, Errors::default());
    };
    let reader = Reader::of(cluster);
    let mut walk = Walk::new(&reader, PATH);
    walk.object(schema::CONFIG, object, config);
    rules::check(&mut walk, config);
    ours::warn(&mut walk.warnings, &cluster.spec, config);
    // Rules go through lists of any length.
    walk.errors.0.truncate(walk::MOST);
    walk.warnings.0.truncate(walk::MOST);
    Findings::new(walk.errors, walk.warnings)
}

/// A text or switch of the configuration's network, as k0s reads it: without one, `default`.
pub(crate) fn network(spec: &ClusterSpec, path: &[&str], default: &str) -> String {
    let config = spec.k0s_config.as_ref();
    let network = config.and_then(|config| text::get(config, &["spec", "network"]));
    match network.and_then(|network| text::get(network, path)) {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(Value::Bool(switch)) => switch.to_string(),
        _ => default.to_owned(),
    }
}

/// What k0s finds at a path of the configuration.
pub(crate) fn value<'a>(config: &'a Value, path: &[&str]) -> Option<&'a Value> {
    text::get(config, path)
}

/// The minor version of the Cluster's k0s, where it is one of those that are known.
pub(crate) fn known_minor(cluster: &Cluster) -> Option<u64> {
    let reader = Reader::of(cluster);
    reader.is_known().then(|| reader.minor())
}

/// Whether there is such a network provider.
pub(crate) fn is_provider(name: &str) -> bool {
    PROVIDERS.contains(&name)
}

/// The configuration with its fields written as k0s writes them, which takes no notice of capitals.
pub fn canonical(config: Value) -> Value {
    match config {
        Value::Object(object) => Value::Object(spelled(schema::CONFIG, object)),
        other => other,
    }
}

fn spelled(fields: &[Field], object: Map<String, Value>) -> Map<String, Value> {
    let mut sorted: Vec<(String, Value)> = object.into_iter().collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut spelled = Map::new();
    for (key, value) in sorted {
        let Some(field) = walk::find(fields, &key) else {
            spelled.insert(key, value);
            continue;
        };
        let value = match (&field.kind, value) {
            (Kind::Object(fields), Value::Object(object)) => {
                Value::Object(self::spelled(fields, object))
            }
            (Kind::List(Kind::Object(fields)), Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::Object(object) => Value::Object(self::spelled(fields, object)),
                    other => other,
                })
                .collect(),
            (_, value) => value,
        };
        overlay(spelled.entry(field.name).or_insert(Value::Null), value);
    }
    spelled
}

/// k0s reads a field that is there twice over what it has read before.
fn overlay(before: &mut Value, after: Value) {
    match (before, after) {
        (_, Value::Null) => {}
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in after {
                overlay(before.entry(key).or_insert(Value::Null), value);
            }
        }
        (before, after) => *before = after,
    }
}

/// The k0s that is to read the configuration.
struct Reader {
    version: Option<K0sVersion>,
    /// It also puts a part of it into the hosted API, whose schema knows more rules.
    live: bool,
    /// It was told to serve IPv6 alone.
    only_ipv6: bool,
    /// It is told the address in the configuration.
    keeps_address: bool,
}

impl Reader {
    fn of(cluster: &Cluster) -> Self {
        let spec = &cluster.spec;
        let flag = |text: &str| {
            spec.control_plane_flags
                .iter()
                .any(|flag| flag.contains(text))
        };
        Self {
            version: upgrade::target(spec, cluster.status.as_ref()).parse().ok(),
            live: k0s_flags::is_dynamic(spec),
            only_ipv6: flag("IPv6SingleStack=true"),
            keeps_address: ours::names_no_address(spec),
        }
    }

    /// Whether its fields are known: those of a newer one, or of one before the first that is
    /// known, are not.
    fn is_known(&self) -> bool {
        let known = upgrade::known();
        let (Some(first), Some(last), Some(version)) = (known.first(), known.last(), &self.version)
        else {
            return false;
        };
        version.minor() >= first.minor() && !last.is_older_than(version)
    }

    fn minor(&self) -> u64 {
        self.version.as_ref().map_or(u64::MAX, K0sVersion::minor)
    }

    fn has(&self, field: &Field) -> bool {
        let Some(version) = &self.version else {
            return true;
        };
        let (minor, patch) = (version.minor(), version.kubernetes().patch);
        let same = field.since.iter().find(|since| since.0 == minor);
        match (same, field.since.last()) {
            (Some(since), _) => patch >= since.1,
            (None, Some(last)) => minor > last.0,
            (None, None) => true,
        }
    }

    fn name(&self) -> String {
        self.version
            .as_ref()
            .map_or_else(|| "k0s".to_owned(), |version| format!("k0s {version}"))
    }
}
