//! "Did you mean": names that are close to one that does not exist.

/// At most three of `known` that a person may have meant by `wanted`, nearest first.
pub fn near<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let allowed = (wanted.chars().count() / 3).clamp(1, 4);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter(|name| *name != wanted)
        .filter_map(|name| {
            let distance = strsim::osa_distance(wanted, name);
            let part = wanted.len() >= 3 && (name.contains(wanted) || wanted.contains(name));
            (distance <= allowed || part).then_some((distance, name))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// The hint about a name that is not there: what may have been meant, else what to do.
pub fn hint<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match near(wanted, known).as_slice() {
        [] => otherwise(),
        near => did_you_mean(near),
    }
}

/// The question about names that look alike.
pub fn did_you_mean(near: &[String]) -> String {
    format!("did you mean {}?", near.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_found() {
        let known = ["production", "staging", "demo", "demo-2"];
        assert_eq!(near("prodcution", known), ["production"]);
        assert_eq!(near("dmeo", known), ["demo"]);
        assert_eq!(near("demo2", known), ["demo", "demo-2"]);
        assert_eq!(near("stag", known), ["staging"]);
    }

    #[test]
    fn strangers_are_not_offered() {
        assert!(near("web", ["production", "staging"]).is_empty());
        assert!(near("a", ["bcd"]).is_empty());
    }
}
