//! `edit`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use clap::Args;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::error::Error;
use crate::flags;
use crate::kubeconfig::parse_message;
use crate::mothership::client::{Connection, Submission};
use crate::mothership::{resources, view};
use crate::output::{Structured, structured};
use crate::session::Session;

const NOTE: &str = "\
# Save and leave the editor to apply what you changed. An unchanged or empty file changes nothing.
# What is wrong with it is told here, and the editor opens again.
#
";

/// Flags of `edit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron edit demo\n\
    \x20 KUBE_EDITOR=\"code --wait\" kubectl k0smotron edit demo")]
pub struct EditArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
}

/// Opens a cluster in an editor and applies what was changed.
///
/// # Errors
/// [`Error::Io`] when the editor fails; whatever the API server answers to the last attempt, with
/// the place of the file that it was made from.
pub async fn run(session: &Session, args: &EditArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let cluster = connection.cluster(&args.name).await?;
    let before = structured(Structured::Yaml, &editable(&cluster)?)?;
    let file = tempfile::Builder::new()
        .prefix(&format!("k0smotron-{}-", args.name))
        .suffix(".yaml")
        .tempfile()
        .map_err(|source| Error::io("make a file to edit", source))?;
    let mut said = String::new();
    let mut shown = before.clone();
    loop {
        write(file.path(), &format!("{NOTE}{said}{shown}"))?;
        editor(file.path()).await?;
        let after = fs::read_to_string(file.path())
            .map_err(|source| Error::io("read what was edited", source))?;
        let after = without_comments(&after);
        if after.trim().is_empty() || after == before {
            session.out.note("Edit cancelled, nothing was changed.");
            return Ok(());
        }
        // The same text again is a person who gives up.
        let again = after == shown && !said.is_empty();
        let error = match apply(session, &connection, &cluster, &after).await {
            Ok(()) => {
                return session
                    .out
                    .data(&format!("{} edited\n", view::qualified(&args.name)));
            }
            Err(error) => error,
        };
        if again || !is_for_the_author(&error) {
            let kept = file
                .keep()
                .map_err(|kept| Error::io("keep what was edited", kept.error))?;
            session
                .out
                .note(&format!("What you edited is in {}", kept.1.display()));
            return Err(error);
        }
        said = commented(&error);
        shown = after;
    }
}

/// Whether another text may help.
fn is_for_the_author(error: &Error) -> bool {
    matches!(error, Error::Refused { .. } | Error::Usage { .. })
}

/// The object without what nobody edits.
fn editable(cluster: &DynamicObject) -> Result<Value, Error> {
    let mut shown = view::without_managed_fields(cluster.clone());
    if let Some(fields) = shown.data.as_object_mut() {
        fields.remove("status");
    }
    serde_json::to_value(shown).map_err(|source| Error::io("show the object", source.into()))
}

async fn apply(
    session: &Session,
    connection: &Connection<'_>,
    before: &DynamicObject,
    text: &str,
) -> Result<(), Error> {
    let name = before.name_any();
    let wrong = |message: String| Error::Usage {
        message,
        hint: "correct it, or leave the file as it was".to_owned(),
    };
    let after: Value = serde_saphyr::from_str(text)
        .map_err(|error| wrong(format!("the text is no YAML: {}", parse_message(&error))))?;
    let edited: DynamicObject = serde_json::from_value(after.clone())
        .map_err(|error| wrong(format!("the text is no object: {error}")))?;
    if edited.metadata.name.as_deref() != Some(&name)
        || edited.metadata.namespace != before.metadata.namespace
    {
        return Err(wrong("name and namespace cannot be changed".to_owned()));
    }
    let place = &connection.namespace;
    session.leaves(
        format!("cluster {place}/{name} may have been changed"),
        vec![format!(
            "look: {}",
            session.kubectl(&format!("k0smotron status {name}"), place)
        )],
    );
    let attempt = format!("change cluster {place}/{name}");
    let (shown, clusters) = (editable(before)?, resources::clusters());
    connection
        .again(&attempt, before, async |latest| {
            let object = rebased(&shown, &after, latest)?;
            let sent = connection.submit(&attempt, &clusters, &object, Submission::Replace);
            Some(sent.await.map(drop))
        })
        .await
}

/// What was changed from `shown` to `edited`, done to the latest object; `None` when that is another
/// object, or something that was edited is no longer as it was shown. A list counts as a whole.
fn rebased(shown: &Value, edited: &Value, latest: &DynamicObject) -> Option<DynamicObject> {
    let now = serde_json::to_value(latest).ok()?;
    if shown.pointer("/metadata/uid") != now.pointer("/metadata/uid") {
        return None;
    }
    let changes = json_patch::diff(shown, edited);
    let mut edited_all = now.clone();
    for change in &changes.0 {
        let place = whole_list(shown, change.path().as_str());
        // What the API server counts is not for a person to change.
        if place == "/metadata/resourceVersion" {
            continue;
        }
        if shown.pointer(place) != now.pointer(place) {
            return None;
        }
        json_patch::patch(&mut edited_all, std::slice::from_ref(change)).ok()?;
    }
    let mut object: DynamicObject = serde_json::from_value(edited_all).ok()?;
    object
        .metadata
        .resource_version
        .clone_from(&latest.metadata.resource_version);
    Some(object)
}

/// The part of a path that ends at the first list on its way.
fn whole_list<'a>(value: &Value, path: &'a str) -> &'a str {
    path.match_indices('/')
        .skip(1)
        .map(|(end, _)| path.get(..end).unwrap_or(path))
        .find(|outer| value.pointer(outer).is_some_and(Value::is_array))
        .unwrap_or(path)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::io("write the file to edit", source))
}

/// The words of kubectl's own variable, else of the user's, else vi.
async fn editor(path: &Path) -> Result<(), Error> {
    let chosen = ["KUBE_EDITOR", "VISUAL", "EDITOR"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.trim().is_empty())
        .unwrap_or_else(|| "vi".to_owned());
    let hint = "set KUBE_EDITOR or EDITOR to an editor that waits until the file is closed";
    let usage = |message: String| Error::Usage {
        message,
        hint: hint.to_owned(),
    };
    let words = shell_words::split(&chosen)
        .map_err(|error| usage(format!("the editor \"{chosen}\" is no command: {error}")))?;
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| usage("the editor has no name".to_owned()))?;
    let ended = tokio::process::Command::new(program)
        .args(arguments)
        .arg(path)
        .stdin(Stdio::inherit())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| {
            usage(format!(
                "the editor \"{program}\" cannot be started: {error}"
            ))
        })?;
    if ended.success() {
        return Ok(());
    }
    Err(usage(format!(
        "the editor \"{program}\" ended with {ended}; nothing was changed"
    )))
}

fn without_comments(text: &str) -> String {
    text.lines()
        .skip_while(|line| line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn commented(error: &Error) -> String {
    let mut out = String::new();
    for line in error.to_string().lines() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# {line}");
    }
    out + "#\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::cluster;

    #[test]
    fn what_nobody_edits_is_not_shown() {
        let shown = editable(&cluster(json!({"version": "v1.36.3+k0s.2"}))).unwrap();
        assert_eq!(shown.pointer("/spec/replicas"), Some(&json!(3)));
        assert_eq!(shown.get("status"), None);
    }

    /// What is shown of a cluster, and the cluster after its controller and a colleague were there.
    fn meanwhile() -> (Value, DynamicObject) {
        let mut cluster = cluster(json!({"version": "v1.36.3+k0s.2"}));
        cluster.data["spec"]["k0sConfig"] = json!({"flags": ["--a"], "labels": {"b": "c"}});
        let shown = editable(&cluster).unwrap();
        cluster.metadata.resource_version = Some("99".to_owned());
        cluster.metadata.finalizers = Some(vec!["k0smotron.io/finalizer".to_owned()]);
        cluster.data["status"] = json!({"ready": true});
        cluster.data["spec"]["version"] = json!("v1.36.4+k0s.0");
        cluster.data["spec"]["k0sConfig"]["flags"] = json!(["--a", "--z"]);
        (shown, cluster)
    }

    fn edited(shown: &Value, path: &str, value: Value) -> Value {
        let mut edited = shown.clone();
        *edited.pointer_mut(path).unwrap() = value;
        edited
    }

    #[test]
    fn what_others_change_meanwhile_stays() {
        let (shown, latest) = meanwhile();
        let mut edited = edited(&shown, "/spec/replicas", json!(5));
        edited["metadata"]["resourceVersion"] = json!("1");
        edited["spec"]["k0sConfig"]["labels"] = json!({"b": "d", "e": "f"});
        let sent = rebased(&shown, &edited, &latest).unwrap();
        assert_eq!(sent.metadata, latest.metadata);
        assert_eq!(sent.data["status"], latest.data["status"]);
        assert_eq!(sent.data["spec"]["version"], "v1.36.4+k0s.0");
        assert_eq!(sent.data["spec"]["replicas"], 5);
        let config = json!({"flags": ["--a", "--z"], "labels": {"b": "d", "e": "f"}});
        assert_eq!(sent.data["spec"]["k0sConfig"], config);
    }

    #[test]
    fn what_others_have_changed_is_not_overwritten() {
        let (shown, latest) = meanwhile();
        for (path, value) in [
            ("/spec/version", json!("v1.36.5+k0s.0")),
            ("/spec/k0sConfig/flags", json!(["--a", "--mine"])),
            ("/spec/k0sConfig/flags/0", json!("--b")),
        ] {
            let edited = edited(&shown, path, value);
            assert_eq!(rebased(&shown, &edited, &latest), None, "{path}");
        }
    }

    #[test]
    fn only_the_note_is_cut_off() {
        let text = format!("{NOTE}# spec.replicas: too few\n#\na: 1\n# mine\nb: 2\n");
        assert_eq!(without_comments(&text), "a: 1\n# mine\nb: 2\n");
        assert_eq!(without_comments(NOTE), "");
    }

    #[test]
    fn every_line_of_an_error_is_a_comment() {
        let error = Error::Refused {
            attempt: "change it".into(),
            causes: vec!["spec.a: one".into(), "spec.b: two".into()],
            hint: String::new(),
        };
        assert!(commented(&error).lines().all(|line| line.starts_with('#')));
        assert!(is_for_the_author(&error));
    }
}
