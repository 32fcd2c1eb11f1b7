//! The objects that `policy test` judges, read from files, folders and standard input.

use std::io::{self, Read};
use std::path::Path;

use crds::{admission, conversion};
use serde_json::Value;

use crate::error::Error;
use crate::flags;
use crate::kubeconfig::parse_message;
use crate::mothership::resources;

/// The largest file that is read, in bytes; no object is as large.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// An object and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub source: String,
    pub object: Value,
}

impl Document {
    /// The object's kind when it is one of the product's: `Ok(None)` for those of others.
    pub fn kind(&self) -> Result<Option<&str>, Error> {
        let text = |key: &str| self.object.get(key).and_then(Value::as_str);
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return Err(self.unreadable("it has no apiVersion or no kind"));
        };
        match version.split_once('/') {
            Some((resources::GROUP, resources::VERSION)) => Ok(Some(kind)),
            Some((resources::GROUP, other)) => Err(self.unreadable(&format!(
                "it is written for {other}; write it for {}",
                resources::VERSION
            ))),
            _ => Ok(None),
        }
    }

    /// The namespace that is written in it.
    ///
    /// # Errors
    /// [`Error::Io`] for what no namespace is called, and nobody is to be asked for.
    pub fn namespace(&self) -> Result<Option<&str>, Error> {
        let written = Some(namespace_of(&self.object, "")).filter(|name| !name.is_empty());
        let checked = written.map_or(Ok(()), flags::written_namespace);
        checked.map_err(|why| self.unreadable(&why))?;
        Ok(written)
    }

    /// Whether it is a Namespace.
    pub fn is_namespace(&self) -> bool {
        self.object
            .get("apiVersion")
            .is_some_and(|version| version == "v1")
            && self
                .object
                .get("kind")
                .is_some_and(|kind| kind == "Namespace")
    }

    /// The same with the object as it is stored: clients may write it in an older version.
    fn stored(self) -> Result<Self, Error> {
        let version = self.object.get("apiVersion").and_then(Value::as_str);
        let older = version
            .and_then(|version| version.strip_prefix(resources::GROUP)?.strip_prefix('/'))
            .is_some_and(|version| version != resources::VERSION);
        if !older {
            return Ok(self);
        }
        let stored = format!("{}/{}", resources::GROUP, resources::VERSION);
        let mut object = self.object.clone();
        // The conversion tells what was written from what the schema fills in.
        admission::schema_defaults(&mut object);
        match conversion::convert(object, &stored) {
            Ok(object) => Ok(Self { object, ..self }),
            Err(error) => Err(self.unreadable(&error.to_string())),
        }
    }

    /// The error for an object that cannot be looked at.
    pub fn unreadable(&self, cause: &str) -> Error {
        Error::io(
            format!("read {}", self.source),
            io::Error::other(cause.to_owned()),
        )
    }
}

/// Reads the objects of a file; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<Document>, Error> {
    let (name, result) = if path == Path::new("-") {
        let text = read_all(io::stdin().lock());
        ("standard input".to_owned(), text)
    } else {
        let text = std::fs::File::open(path).and_then(read_all);
        (path.display().to_string(), text)
    };
    let text = result.map_err(|source| Error::io(format!("read {name}"), source))?;
    let documents = parse(&name, &text)?;
    documents.into_iter().map(Document::stored).collect()
}

fn read_all(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!(
            "it is larger than {MAX_FILE} bytes"
        )));
    }
    Ok(text)
}

/// The objects of a text: YAML documents or JSON, lists taken apart.
pub fn parse(name: &str, text: &str) -> Result<Vec<Document>, Error> {
    let values: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let cause = format!("it must be YAML: {}", parse_message(&error));
        Error::io(format!("read {name}"), io::Error::other(cause))
    })?;
    let single = values.len() == 1;
    let mut documents = Vec::new();
    for (index, object) in values.into_iter().enumerate() {
        let source = if single {
            name.to_owned()
        } else {
            format!("{name}, document {}", index + 1)
        };
        match object {
            Value::Null => {}
            Value::Object(mut list) if list.get("kind").and_then(Value::as_str) == Some("List") => {
                let items = list.remove("items");
                let items = items.as_ref().and_then(Value::as_array);
                for (index, item) in items.into_iter().flatten().enumerate() {
                    documents.push(Document {
                        source: format!("{source}, item {}", index + 1),
                        object: item.clone(),
                    });
                }
            }
            object => documents.push(Document { source, object }),
        }
    }
    Ok(documents)
}

/// The object's namespace; this one where it says none.
pub fn namespace_of<'a>(object: &'a Value, otherwise: &'a str) -> &'a str {
    let found = object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    found.filter(|name| !name.is_empty()).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Vec<String> {
        let documents = parse("a.yaml", text).unwrap();
        documents
            .into_iter()
            .map(|document| document.source)
            .collect()
    }

    #[test]
    fn documents_are_numbered_and_lists_taken_apart() {
        assert_eq!(sources("kind: Cluster\n"), ["a.yaml"]);
        assert_eq!(
            sources("kind: A\n---\nkind: List\nitems:\n- kind: B\n- kind: C\n---\nkind: D\n"),
            [
                "a.yaml, document 1",
                "a.yaml, document 2, item 1",
                "a.yaml, document 2, item 2",
                "a.yaml, document 3"
            ]
        );
        assert_eq!(sources(r#"{"kind": "Cluster"}"#), ["a.yaml"]);
        assert_eq!(sources(""), Vec::<String>::new());
    }

    #[test]
    fn a_text_that_is_no_yaml_names_its_file_and_line() {
        let error = parse("a.yaml", "kind: Cluster\nspec: [\n").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot read a.yaml: "), "{text}");
        assert!(text.contains("line"), "{text}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nowhere/a.yaml")).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read /nowhere/a.yaml: "),
            "{error}"
        );
    }

    #[test]
    fn an_older_version_is_read_as_what_is_stored() {
        let stored = |text: &str| parse("a.yaml", text).unwrap().remove(0).stored();
        let old = "apiVersion: k0smotron.io/v1beta1\nkind: Cluster\nmetadata: {name: c}\nspec: {service: {type: NodePort}}";
        let object = stored(old).unwrap().object;
        assert_eq!(object["apiVersion"], "k0smotron.io/v1beta2");
        assert_eq!(object["spec"]["service"]["type"], "NodePort");
        let other = "apiVersion: k0smotron.io/v9\nkind: Cluster\nmetadata: {name: c}";
        let error = stored(other).unwrap_err().to_string();
        assert!(error.starts_with("cannot read a.yaml: "), "{error}");
        let foreign = "apiVersion: apps/v1\nkind: Deployment";
        assert_eq!(stored(foreign).unwrap().object["kind"], "Deployment");
    }

    #[test]
    fn only_objects_of_the_stored_version_are_known() {
        let kind = |text: &str| {
            let document = parse("a.yaml", text).unwrap().remove(0);
            document
                .kind()
                .map(|kind| kind.map(ToOwned::to_owned))
                .map_err(|error| error.to_string())
        };
        let ours = "apiVersion: k0smotron.io/v1beta2\nkind: Cluster";
        assert_eq!(kind(ours), Ok(Some("Cluster".to_owned())));
        assert_eq!(kind("apiVersion: apps/v1\nkind: Deployment"), Ok(None));
        assert_eq!(kind("apiVersion: v1\nkind: Secret"), Ok(None));
        assert!(kind("apiVersion: k0smotron.io/v1beta1\nkind: Cluster").is_err());
        assert!(kind("kind: Cluster").is_err());
    }
}
