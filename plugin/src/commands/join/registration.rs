//! What a node registers with: labels and taints as the kubelet and the API server take them. With
//! others k0s starts, its kubelet never does or is refused, and no node appears.

use std::collections::{BTreeMap, BTreeSet};

use crds::validation::{KEY, LABEL_VALUE, is_label_key, is_label_value};

use crate::error::Error;

const LABEL: &str = "a label looks like tier=web or example.org/tier=web";
const TAINT: &str = "a taint looks like dedicated=web:NoSchedule; effects are NoSchedule, \
    PreferNoSchedule and NoExecute";
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// Whose labels a kubelet may not set.
const RESERVED: [&str; 2] = ["kubernetes.io", "k8s.io"];
/// But for these, and whose they are below them.
const OWN: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// And for these.
const KNOWN: [&str; 10] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// A label (`key=value`).
pub fn label(text: &str) -> Result<String, String> {
    let (key, value) = text.split_once('=').ok_or(LABEL)?;
    let (key, value) = (key.trim(), value.trim());
    labelled(key, value)?;
    Ok(format!("{key}={value}"))
}

/// A taint (`key=value:Effect` or `key:Effect`).
pub fn taint(text: &str) -> Result<String, String> {
    let text = text.trim();
    tainted(text)?;
    Ok(text.to_owned())
}

/// Looks through the words for k0s, with what they have for its kubelet.
///
/// # Errors
/// [`Error::Usage`] for what keeps a node from registering.
pub fn check(arguments: &[String]) -> Result<(), Error> {
    let of_k0s = said(arguments, "--labels", "--taints");
    let kubelet: Vec<String> = values(arguments, "--kubelet-extra-args")
        .flat_map(|line| line.split_whitespace().map(str::to_owned))
        .collect();
    of_k0s
        .and_then(|()| said(&kubelet, "--node-labels", "--register-with-taints"))
        .map_err(|message| Error::Usage {
            message,
            hint: "mend it in --labels, --taints or --worker-args".to_owned(),
        })
}

fn said(words: &[String], labels: &str, taints: &str) -> Result<(), String> {
    let mut known = BTreeMap::new();
    for text in items(words, labels) {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        // The kubelet takes no notice of blanks there.
        let (key, value) = (key.trim(), value.trim());
        labelled(key, value)?;
        if let Some(other) = known.insert(key, value).filter(|other| *other != value) {
            return Err(format!(
                "label \"{key}\" must have one value: \"{other}\" and \"{value}\" are both there, \
                 and a node has the last"
            ));
        }
    }
    let mut known = BTreeSet::new();
    for text in items(words, taints) {
        let (key, effect) = tainted(text)?;
        if !known.insert((key, effect)) {
            return Err(format!("taint \"{key}\" must be there once for {effect}"));
        }
    }
    Ok(())
}

fn items<'a>(words: &'a [String], flag: &'a str) -> impl Iterator<Item = &'a str> {
    values(words, flag)
        .flat_map(|value| value.split(','))
        .filter(|item| !item.is_empty())
}

/// What a flag is given, in the same word or in the next.
fn values<'a>(words: &'a [String], flag: &'a str) -> impl Iterator<Item = &'a str> {
    words
        .iter()
        .enumerate()
        .filter_map(move |(at, word)| match word.strip_prefix(flag)? {
            "" => words.get(at + 1).map(String::as_str),
            rest => rest.strip_prefix('='),
        })
}

fn labelled(key: &str, value: &str) -> Result<(), String> {
    fits(key, value)?;
    let below = |domain: &str, whose: &str| {
        domain == whose
            || domain
                .strip_suffix(whose)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let among = |all: [&str; 2]| all.iter().any(|whose| below(domain, whose));
    if among(RESERVED) && !among(OWN) && !KNOWN.contains(&key) {
        return Err(format!(
            "label \"{key}\" is forbidden: a kubelet sets none of kubernetes.io and k8s.io but its \
             own; once the node is there: kubectl label node <node> {key}={value}"
        ));
    }
    Ok(())
}

/// Its key and its effect.
fn tainted(text: &str) -> Result<(&str, &str), String> {
    let (pair, effect) = text.split_once(':').ok_or(TAINT)?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if !EFFECTS.contains(&effect) {
        return Err(TAINT.to_owned());
    }
    fits(key, value)?;
    Ok((key, effect))
}

fn fits(key: &str, value: &str) -> Result<(), String> {
    if !is_label_key(key) {
        return Err(format!("\"{key}\" must be a key: {KEY}"));
    }
    if !is_label_value(value) {
        return Err(format!("\"{value}\" must be a value: {LABEL_VALUE}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_fine(line: &str) -> bool {
        check(&shell_words::split(line).unwrap()).is_ok()
    }

    #[test]
    fn labels_and_taints_are_those_that_a_kubelet_registers_with() {
        let long = format!("{}org/a=", format!("{}.", "a".repeat(60)).repeat(4));
        for good in [
            "tier=web",
            "example.org/tier=",
            "a=b-c.d_e",
            "node.kubernetes.io/role=web",
            "mine.kubelet.kubernetes.io/a=b",
            "topology.kubernetes.io/zone=a",
            "mykubernetes.io/a=b",
            &long,
        ] {
            assert!(label(good).is_ok(), "{good}");
        }
        let too_long = format!("a{long}").replace(".org", ".example.org");
        for bad in [
            "tier",
            "=web",
            "a b=c",
            "a=b c",
            "a=$(x)",
            "-a=b",
            "/a=b",
            "a..b/c=d",
            "-a.x/c=d",
            "Example.com/c=d",
            "a/b/c=d",
            "a=-b",
            "node-role.kubernetes.io/worker=",
            "kubernetes.io/foo=bar",
            "k8s.io/foo=bar",
            "node-restriction.kubernetes.io/a=b",
            "xnode.kubernetes.io/a=b",
            &too_long,
        ] {
            assert!(label(bad).is_err(), "{bad}");
        }
        for good in [
            "dedicated=web:NoSchedule",
            "dedicated:NoExecute",
            "node-role.kubernetes.io/worker:NoSchedule",
        ] {
            assert!(taint(good).is_ok(), "{good}");
        }
        for bad in [
            "dedicated",
            "dedicated=web",
            "a=b:Never",
            ":NoSchedule",
            "Example.com/a=b:NoSchedule",
            "a..b/c:NoSchedule",
            "a=b=c:NoSchedule",
            "a:b:NoSchedule",
        ] {
            assert!(taint(bad).is_err(), "{bad}");
        }
        assert_eq!(label(" tier = web ").unwrap(), "tier=web");
        assert_eq!(taint(" a=b:NoSchedule ").unwrap(), "a=b:NoSchedule");
        let refused = label("node-role.kubernetes.io/worker=").unwrap_err();
        assert!(
            refused.contains("kubectl label node <node> node-role"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_in_the_words_for_k0s_is_looked_at_as_well() {
        for good in [
            "",
            "--labels a=1,b=2 --taints a=b:NoSchedule,a=c:NoExecute --profile x",
            "--labels=a=1 --labels=a=1 --labels",
            "--labels 'a=1, b = 2,b=2'",
            "--kubelet-extra-args '--node-labels=a=1 --v=2'",
            "--kubelet-extra-args=--register-with-taints=a:NoSchedule --taints a:NoSchedule",
        ] {
            assert!(is_fine(good), "{good}");
        }
        for bad in [
            "--labels a=1,a=2",
            "--labels a=1 --labels=a=2",
            "--labels=node-role.kubernetes.io/worker",
            "--labels Example.com/x=1",
            "--taints a=b:NoSchedule,a=c:NoSchedule",
            "--taints 'a=b:NoSchedule, c=d:NoExecute'",
            "--taints a:NoSchedule --taints=a=x:NoSchedule",
            "--taints=a",
            "--kubelet-extra-args '--v=2 --node-labels=kubernetes.io/a=b'",
            "--kubelet-extra-args='--register-with-taints=a:Never'",
            "--kubelet-extra-args '--node-labels a..b/c=d'",
        ] {
            assert!(!is_fine(bad), "{bad}");
        }
        let twice = ["--labels", "a=1, a=2"].map(str::to_owned);
        let said = check(&twice).unwrap_err().to_string();
        let why = "label \"a\" must have one value: \"1\" and \"2\" are both there";
        assert!(said.starts_with(why), "{said}");
    }
}
