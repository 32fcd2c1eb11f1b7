//! What a request is for: the key by which faults find it.

use std::fmt;

use http::{Method, Uri};
use serde_json::Value;

/// How the names of bootstrap tokens begin; what follows is another in each run, and not shown.
const BOOTSTRAP_TOKEN: &str = "bootstrap-token-";

/// What a request does, as the API server's audit log calls it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Verb {
    /// One object is read.
    Get,
    /// Many are read.
    List,
    /// Changes are waited for.
    Watch,
    /// An object is created, or something is posted to one of its subresources.
    Create,
    /// An object is replaced.
    Update,
    /// Parts of an object are written.
    Patch,
    /// An object is deleted.
    Delete,
    /// Many are deleted.
    DeleteCollection,
}

impl Verb {
    /// Whether it changes something.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        })
    }
}

/// What a request is for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Call {
    /// What it does.
    pub verb: Verb,
    /// Plural and subresource, `statefulsets` or `clusters/status`; the path of what is no object.
    pub resource: String,
    /// Name of the object, or the selectors of a list or a watch. Empty where there is neither.
    pub name: String,
    /// Empty for what has no namespace. No part of what is shown: each run has one of its own.
    pub namespace: String,
    /// Whether it asks not to be carried out.
    pub dry_run: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        match self.name.strip_prefix(BOOTSTRAP_TOKEN) {
            Some(_) => write!(f, " {BOOTSTRAP_TOKEN}*")?,
            None if self.name.is_empty() => {}
            None => write!(f, " {}", self.name)?,
        }
        if self.dry_run {
            f.write_str(" (dry run)")?;
        }
        Ok(())
    }
}

impl Call {
    /// Reads it from the first line of a request, and for a create from its body.
    pub fn from_request(method: &Method, uri: &Uri, body: &[u8]) -> Self {
        let path: Vec<&str> = uri
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let query = Query(uri.query().unwrap_or_default());
        // `/api/VERSION/…` and `/apis/GROUP/VERSION/…`.
        let rest = match path.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            _ => &[],
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (resource, named) = match rest {
            [] => (uri.path().to_owned(), ""),
            [resource] => ((*resource).to_owned(), ""),
            [resource, name] => ((*resource).to_owned(), *name),
            [resource, name, below @ ..] => (format!("{resource}/{}", below.join("/")), *name),
        };
        let many = named.is_empty() && !rest.is_empty();
        let watches = matches!(query.get("watch").as_deref(), Some("true" | "1"));
        let verb = match *method {
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE if many => Verb::DeleteCollection,
            Method::DELETE => Verb::Delete,
            _ if watches => Verb::Watch,
            _ if many => Verb::List,
            _ => Verb::Get,
        };
        let name = match verb {
            Verb::Create if named.is_empty() => created(body),
            Verb::List | Verb::Watch | Verb::DeleteCollection => {
                let selectors = ["labelSelector", "fieldSelector"]
                    .iter()
                    .filter_map(|key| query.get(key).filter(|text| !text.is_empty()));
                selectors.collect::<Vec<_>>().join(" ")
            }
            _ => named.to_owned(),
        };
        Self {
            verb,
            resource,
            name,
            namespace: namespace.to_owned(),
            dry_run: query.get("dryRun").is_some_and(|value| !value.is_empty()),
        }
    }
}

/// The name of what a body creates; what is asked about in a review.
fn created(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |place: &str| body.pointer(place)?.as_str();
    if text("/kind") == Some("AdmissionReview") {
        let asked = ["operation", "resource/resource", "subResource", "name"];
        let asked = asked
            .iter()
            .filter_map(|field| text(&format!("/request/{field}")));
        return asked.collect::<Vec<_>>().join(" ");
    }
    let metadata = |field: &str| text(&format!("/metadata/{field}"));
    match (metadata("name"), metadata("generateName")) {
        (Some(name), _) => name.to_owned(),
        (None, Some(begin)) => format!("{begin}*"),
        (None, None) => String::new(),
    }
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn get(&self, key: &str) -> Option<String> {
        form_urlencoded::parse(self.0.as_bytes())
            .find(|(found, _)| found == key)
            .map(|(_, value)| value.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &Method, uri: &str, body: &str) -> String {
        let call = Call::from_request(method, &uri.parse().unwrap(), body.as_bytes());
        format!("{call} in {:?}", call.namespace)
    }

    #[test]
    fn requests_are_called_as_the_audit_log_calls_them() {
        let body = r#"{"metadata":{"name":"one"}}"#;
        let made = r#"{"metadata":{"generateName":"one."}}"#;
        for (method, uri, body, expected) in [
            (
                Method::GET,
                "/api/v1/namespaces/a/secrets/b",
                "",
                r#"get secrets b in "a""#,
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a",
                "",
                r#"get namespaces a in """#,
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/secrets?labelSelector=app%3Dk0s%2Cx&limit=100",
                "",
                r#"list secrets app=k0s,x in "a""#,
            ),
            (
                Method::GET,
                "/apis/apps/v1/statefulsets?watch=true&fieldSelector=metadata.name%3Dx",
                "",
                r#"watch statefulsets metadata.name=x in """#,
            ),
            (
                Method::POST,
                "/api/v1/namespaces/a/services",
                body,
                r#"create services one in "a""#,
            ),
            (
                Method::POST,
                "/api/v1/namespaces/a/events",
                made,
                r#"create events one.* in "a""#,
            ),
            (
                Method::POST,
                "/api/v1/namespaces/a/serviceaccounts/b/token",
                "",
                r#"create serviceaccounts/token b in "a""#,
            ),
            (
                Method::POST,
                "/validate?timeout=5s",
                r#"{"kind":"AdmissionReview","request":{"operation":"UPDATE",
                    "resource":{"resource":"clusters"},"subResource":"scale","name":"b"}}"#,
                r#"create /validate UPDATE clusters scale b in """#,
            ),
            (
                Method::PATCH,
                "/apis/k0smotron.io/v1beta2/namespaces/a/clusters/b/status?dryRun=All",
                "",
                r#"patch clusters/status b (dry run) in "a""#,
            ),
            (
                Method::DELETE,
                "/api/v1/namespaces/a/pods",
                "",
                r#"deletecollection pods in "a""#,
            ),
            (Method::GET, "/version", "", r#"get /version in """#),
            (
                Method::DELETE,
                "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef",
                "",
                r#"delete secrets bootstrap-token-* in "kube-system""#,
            ),
        ] {
            assert_eq!(told(&method, uri, body), expected, "{uri}");
        }
    }
}
