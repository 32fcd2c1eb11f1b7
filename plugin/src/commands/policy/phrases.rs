//! Words that several answers about policies share. Pure.

use crds::v1beta2::{ClusterPolicySpec, PolicyKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// `a, b or c`.
pub fn either<T: AsRef<str>>(items: &[T]) -> String {
    joined(items, "or")
}

/// `a, b and c`.
pub fn all<T: AsRef<str>>(items: &[T]) -> String {
    joined(items, "and")
}

fn joined<T: AsRef<str>>(items: &[T], word: &str) -> String {
    let texts: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match texts.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// `2 clusters`, `1 cluster`.
pub fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `from 1 to 3`, `at least 1`, `at most 3`, `exactly 3`; `None` without a bound.
pub fn bounds<T: AsRef<str> + PartialEq>(min: Option<&T>, max: Option<&T>) -> Option<String> {
    match (min, max) {
        (Some(min), Some(max)) if min == max => Some(format!("exactly {}", min.as_ref())),
        (Some(min), Some(max)) => Some(format!("from {} to {}", min.as_ref(), max.as_ref())),
        (Some(min), None) => Some(format!("at least {}", min.as_ref())),
        (None, Some(max)) => Some(format!("at most {}", max.as_ref())),
        (None, None) => None,
    }
}

/// Bounds of a number of control-plane pods.
pub fn replicas(min: Option<i32>, max: Option<i32>) -> Option<String> {
    let text = |bound: Option<i32>| bound.map(|count| count.to_string());
    let bounds = bounds(text(min).as_ref(), text(max).as_ref())?;
    let one = max.or(min) == Some(1);
    let pods = if one { "pod" } else { "pods" };
    Some(format!("{bounds} control-plane {pods}"))
}

/// Kinds in the plural.
pub fn kinds(kinds: &[PolicyKind]) -> String {
    let names: Vec<String> = kinds.iter().map(|kind| format!("{kind}s")).collect();
    all(&names)
}

/// A selector as kubectl writes one with `-l`; `None` for one that selects everything.
pub fn selector(selector: Option<&LabelSelector>) -> Option<String> {
    let selector = selector?;
    let labels = selector.match_labels.iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={value}"));
    let requirements = selector.match_expressions.iter().flatten();
    let parts: Vec<String> = labels.chain(requirements.map(requirement)).collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn requirement(requirement: &LabelSelectorRequirement) -> String {
    let LabelSelectorRequirement {
        key,
        operator,
        values,
    } = requirement;
    let values = values.as_deref().unwrap_or_default().join(",");
    match operator.as_str() {
        "Exists" => key.clone(),
        "DoesNotExist" => format!("!{key}"),
        other => format!("{key} {} ({values})", other.to_lowercase()),
    }
}

/// How many rules a policy has, each field that bounds something and each free one.
pub fn rules(spec: &ClusterPolicySpec) -> usize {
    let fields = [
        !spec.versions.is_empty(),
        !spec.images.is_empty(),
        !spec.service_types.is_empty(),
        !spec.storage_types.is_empty(),
        !spec.persistence_types.is_empty(),
        spec.replicas.is_some(),
        spec.resources.is_some(),
        !spec.required_labels.is_empty(),
        !spec.required_annotations.is_empty(),
        spec.namespace_limits.is_some(),
        spec.max_token_lifetime.is_some(),
        !spec.forbidden_fields.is_empty(),
    ];
    fields.iter().filter(|there| **there).count() + spec.rules.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_and_bounds_read_as_one_says_them() {
        assert_eq!(either(&["a", "b", "c"]), "a, b or c");
        assert_eq!(all(&["a", "b"]), "a and b");
        assert_eq!(either(&["a"]), "a");
        assert_eq!(bounds(Some(&"1"), Some(&"3")).unwrap(), "from 1 to 3");
        assert_eq!(bounds(Some(&"3"), Some(&"3")).unwrap(), "exactly 3");
        assert_eq!(bounds(Some(&"3"), None).unwrap(), "at least 3");
        assert_eq!(bounds::<&str>(None, None), None);
    }

    #[test]
    fn a_selector_is_written_as_kubectl_takes_it() {
        let read = |value| -> LabelSelector { serde_json::from_value(value).unwrap() };
        let both = read(
            json!({"matchLabels": {"tenant": "true"}, "matchExpressions": [
                {"key": "stage", "operator": "NotIn", "values": ["prod", "test"]},
                {"key": "team", "operator": "Exists"},
                {"key": "free", "operator": "DoesNotExist"},
            ]}),
        );
        assert_eq!(
            selector(Some(&both)).unwrap(),
            "tenant=true,stage notin (prod,test),team,!free"
        );
        assert_eq!(selector(Some(&read(json!({})))), None);
        assert_eq!(selector(None), None);
    }
}
