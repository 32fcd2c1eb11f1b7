//! "Did you mean": names that are close to one that does not exist.

/// At most three of `known` that a person may have meant by `wanted`, nearest first.
pub fn near<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let allowed = (wanted.chars().count() / 3).clamp(1, 4);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter(|name| *name != wanted)
        .filter_map(|name| {
            let distance = edits(wanted, name);
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

/// Edits (insert, drop, replace, swap of neighbours) that make one name of the other.
fn edits(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let width = other.len() + 1;
    let mut before_last = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1; 1];
        for (j, b) in other.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(a != b))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
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
