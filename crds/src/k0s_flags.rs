//! `spec.controlPlaneFlags`, as k0s reads them.

use crate::v1beta2::ClusterSpec;

/// Whether k0s takes its configuration from the hosted cluster while it runs, as it does unless a
/// flag says otherwise.
pub fn is_dynamic(spec: &ClusterSpec) -> bool {
    switch(spec, "--enable-dynamic-config").unwrap_or(true)
}

/// What a switch was set to last; `None` where it is not set, or to nothing that k0s starts with.
pub(crate) fn switch(spec: &ClusterSpec, flag: &str) -> Option<bool> {
    let said = words(spec).into_iter().rev().find_map(|word| {
        let rest = word.strip_prefix(flag)?;
        rest.is_empty()
            .then(|| "true".to_owned())
            .or_else(|| rest.strip_prefix('=').map(str::to_owned))
    })?;
    match said.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether k0s runs without this component of its own.
pub(crate) fn disables(spec: &ClusterSpec, component: &str) -> bool {
    const FLAG: &str = "--disable-components";
    let words = words(spec);
    let names = |list: &str| {
        let mut names = list.split(',').filter(|name| !name.is_empty());
        names.any(|name| name == component)
    };
    words
        .iter()
        .enumerate()
        .any(|(index, word)| match word.strip_prefix(FLAG) {
            Some("") => words.get(index + 1).is_some_and(|list| names(list)),
            Some(rest) => rest.strip_prefix('=').is_some_and(names),
            None => false,
        })
}

/// Whether k0s runs a konnectivity server.
pub(crate) fn has_konnectivity(spec: &ClusterSpec) -> bool {
    !disables(spec, "konnectivity-server") && switch(spec, "--single") != Some(true)
}

/// What does not parse is refused elsewhere.
fn words(spec: &ClusterSpec) -> Vec<String> {
    let flags = spec.control_plane_flags.iter();
    flags
        .flat_map(|flags| shell_words::split(flags).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn with(flags: &[&str]) -> ClusterSpec {
        ClusterSpec {
            control_plane_flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            ..ClusterSpec::default()
        }
    }

    #[rstest]
    #[case::unless_told_otherwise(&[], true)]
    #[case::told_so(&["--enable-dynamic-config"], true)]
    #[case::off(&["--enable-dynamic-config=false"], false)]
    #[case::as_a_number(&["--enable-dynamic-config=0"], false)]
    #[case::as_a_letter(&["--debug --enable-dynamic-config=f"], false)]
    #[case::in_capitals(&["--enable-dynamic-config=False"], false)]
    #[case::in_quotes(&["--enable-dynamic-config='false'"], false)]
    #[case::what_comes_last_counts(&["--enable-dynamic-config=false", "--enable-dynamic-config=1"], true)]
    #[case::of_another_name(&["--enable-dynamic-configs=false"], true)]
    fn the_configuration_is_dynamic(#[case] flags: &[&str], #[case] dynamic: bool) {
        assert_eq!(is_dynamic(&with(flags)), dynamic);
    }

    #[rstest]
    #[case::one(&["--disable-components=coredns"], true)]
    #[case::among_others(&["--debug", "--disable-components=helm,coredns"], true)]
    #[case::in_two_words(&["--disable-components coredns"], true)]
    #[case::in_two_flags(&["--disable-components", "helm,coredns"], true)]
    #[case::after_another(&["--disable-components=helm", "--disable-components=coredns"], true)]
    #[case::another(&["--disable-components=core"], false)]
    #[case::none(&["coredns"], false)]
    fn a_component_is_disabled(#[case] flags: &[&str], #[case] disabled: bool) {
        assert_eq!(disables(&with(flags), "coredns"), disabled);
    }
}
