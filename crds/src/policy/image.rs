//! Where an image comes from.
//!
//! `oci-spec` takes `QUAY.io` and `registry-1.docker.io` for registries of their own, and a list of what
//! is allowed or forbidden must not.

use std::fmt;

/// The registry of an image that names none, and the folder that it keeps its own images in.
const HUB: &str = "docker.io";
const LIBRARY: &str = "library";

/// A registry, or a repository in it and what is below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    parts: Vec<String>,
}

impl Source {
    /// Reads an entry of a list of what is allowed; its registry has to be named.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut parts = text.split('/').map(ToOwned::to_owned);
        let registry = parts
            .next()
            .filter(|first| is_registry(first))
            .ok_or("must begin with a registry, such as quay.io/k0sproject")?;
        let parts: Vec<String> = std::iter::once(registry_name(&registry))
            .chain(parts)
            .collect();
        if parts.iter().skip(1).any(|part| !is_part(part)) {
            return Err(
                "must be a registry or repository: no scheme, tag, digest or wildcard".to_owned(),
            );
        }
        Ok(Self { parts })
    }

    /// Whether an image of these [`parts`] comes from here. Whole parts are compared, never
    /// letters.
    pub(super) fn covers(&self, image: &[String]) -> bool {
        image.starts_with(&self.parts)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("/"))
    }
}

/// Registry and path of an image as a container runtime reads it, without tag and digest; none
/// when no runtime would.
pub(super) fn parts(image: &str) -> Option<Vec<String>> {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let image = match image.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    };
    let (registry, path) = match image.split_once('/') {
        Some((first, path)) if is_registry(first) => (registry_name(first), path),
        _ => (HUB.to_owned(), image),
    };
    let bare = registry == HUB && !path.contains('/');
    let path: Vec<String> = path.split('/').map(ToOwned::to_owned).collect();
    if !path.iter().all(|part| is_part(part)) {
        return None;
    }
    let library = bare.then(|| LIBRARY.to_owned());
    Some(
        std::iter::once(registry)
            .chain(library)
            .chain(path)
            .collect(),
    )
}

fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

fn registry_name(name: &str) -> String {
    match name.to_ascii_lowercase() {
        name if name == "index.docker.io" || name == "registry-1.docker.io" => HUB.to_owned(),
        name => name,
    }
}

fn is_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(part.chars().next())
        && edge(part.chars().last())
        && part
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Source, parts};

    #[rstest]
    #[case("quay.io/k0sproject", "quay.io/k0sproject/k0s", true)]
    #[case("quay.io/k0sproject/", "quay.io/k0sproject/k0s:v1@sha256:00", true)]
    #[case("quay.io", "quay.io/anybody/anything", true)]
    #[case("quay.io/k0s", "quay.io/k0sproject/k0s", false)]
    #[case("quay.io/k0sproject", "quay.io.example.com/k0sproject/k0s", false)]
    #[case("quay.io/k0sproject", "example.com/quay.io/k0sproject/k0s", false)]
    #[case("quay.io/k0sproject", "quay.io/k0sproject/../evil/k0s", false)]
    #[case("quay.io/k0sproject", "quay.io/k0sproject//k0s", false)]
    #[case("quay.io/k0sproject", "QUAY.io/k0sproject/k0s", true)]
    #[case("registry.example.com:5000", "registry.example.com:5000/k0s:v1", true)]
    #[case("registry.example.com", "registry.example.com:5000/k0s:v1", false)]
    #[case("docker.io/library", "nginx:1.19.10", true)]
    #[case("docker.io/k0sproject", "k0sproject/k0s", true)]
    #[case("index.docker.io/library/nginx", "docker.io/nginx", true)]
    #[case("docker.io/library", "k0sproject/k0s", false)]
    #[case("localhost/k0s", "localhost/k0s", true)]
    #[case("quay.io", "", false)]
    fn an_image_comes_from_a_source(
        #[case] source: &str,
        #[case] image: &str,
        #[case] covered: bool,
    ) {
        let source = Source::parse(source).unwrap();
        let found = parts(image).is_some_and(|parts| source.covers(&parts));
        assert_eq!(found, covered);
    }

    #[rstest]
    #[case("")]
    #[case("k0sproject")]
    #[case("https://quay.io/k0sproject")]
    #[case("quay.io/*")]
    #[case("quay.io/k0s:v1")]
    #[case("quay.io/k0s@sha256:00")]
    #[case("quay.io//k0s")]
    fn other_texts_are_no_source(#[case] text: &str) {
        assert!(Source::parse(text).is_err());
    }
}
