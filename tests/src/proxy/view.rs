//! A part of an API server, shown as if it were all of it: so many programs that look after
//! everything there is can run beside each other.

/// Resources of namespaces, of which one namespace's are shown for those of all.
const INSIDE: [&str; 4] = [
    "clusters",
    "jointokenrequests",
    "resourcequotas",
    "services",
];

/// Resources without a namespace, of which only the one with the namespace's name is shown.
const BESIDE: [&str; 2] = ["clusterpolicies", "namespaces"];

/// What stands for the namespace in the names of points: it is another in each run.
const NAMESPACE: &str = "{namespace}";

/// What is shown.
#[derive(Clone, Debug)]
pub struct View {
    /// The namespace that is all there is.
    pub namespace: String,
    /// Names as they are asked for, and whose objects are shown under them.
    pub names: Vec<(String, String)>,
}

impl View {
    /// Where the API server is asked instead.
    pub(super) fn through(&self, path: &str) -> String {
        let path = self
            .names
            .iter()
            .fold(path.to_owned(), |path, (asked, is)| path.replace(asked, is));
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let namespace = &self.namespace;
        let parts: Vec<_> = path.split('/').skip(1).collect();
        let (path, more) = match parts.as_slice() {
            ["api", version, resource] if INSIDE.contains(resource) => (
                format!("/api/{version}/namespaces/{namespace}/{resource}"),
                None,
            ),
            ["apis", group, version, resource] if INSIDE.contains(resource) => (
                format!("/apis/{group}/{version}/namespaces/{namespace}/{resource}"),
                None,
            ),
            ["api", _, resource] | ["apis", _, _, resource] if BESIDE.contains(resource) => (
                path.to_owned(),
                Some(format!("fieldSelector=metadata.name%3D{namespace}")),
            ),
            _ => (path.to_owned(), None),
        };
        let query: Vec<_> = (!query.is_empty())
            .then(|| query.to_owned())
            .into_iter()
            .chain(more)
            .collect();
        if query.is_empty() {
            path
        } else {
            format!("{path}?{}", query.join("&"))
        }
    }

    /// What a call is called.
    pub(super) fn told(&self, call: &str) -> String {
        call.replace(&self.namespace, NAMESPACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_namespace_stands_for_all() {
        let view = View {
            namespace: "a".to_owned(),
            names: vec![("x.k0smotron.io".to_owned(), "x.example.org".to_owned())],
        };
        for (asked, through) in [
            (
                "/api/v1/services?limit=1",
                "/api/v1/namespaces/a/services?limit=1",
            ),
            (
                "/apis/k0smotron.io/v1beta2/clusters",
                "/apis/k0smotron.io/v1beta2/namespaces/a/clusters",
            ),
            (
                "/api/v1/namespaces?watch=true",
                "/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Da",
            ),
            (
                "/apis/k0smotron.io/v1beta2/clusterpolicies/a/status",
                "/apis/k0smotron.io/v1beta2/clusterpolicies/a/status",
            ),
            (
                "/apis/x/v1/customresourcedefinitions?fieldSelector=metadata.name%3Dx.k0smotron.io",
                "/apis/x/v1/customresourcedefinitions?fieldSelector=metadata.name%3Dx.example.org",
            ),
            (
                "/api/v1/namespaces/b/secrets/c",
                "/api/v1/namespaces/b/secrets/c",
            ),
        ] {
            assert_eq!(view.through(asked), through);
        }
    }
}
