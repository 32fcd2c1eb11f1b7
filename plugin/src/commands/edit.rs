//! `edit`.

use std::{fmt::Write as _, fs, path::Path, process::Stdio};

use clap::Args;
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

use crate::{
    cli,
    client::{Connection, Submission},
    error::Error,
    model,
    output::{Structured, structured},
    resources,
    session::Session,
};

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
    #[arg(value_parser = cli::object_name)]
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
    let before = text(&cluster)?;
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
                    .data(&format!("{} edited\n", model::qualified(&args.name)));
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
fn text(cluster: &DynamicObject) -> Result<String, Error> {
    let mut shown = model::without_managed_fields(cluster.clone());
    if let Some(fields) = shown.data.as_object_mut() {
        fields.remove("status");
    }
    structured(Structured::Yaml, &shown)
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
    let value: Value = serde_saphyr::from_str(text)
        .map_err(|error| wrong(format!("the text is no YAML: {error}")))?;
    let mut object: DynamicObject = serde_json::from_value(value)
        .map_err(|error| wrong(format!("the text is no object: {error}")))?;
    if object.metadata.name.as_deref() != Some(&name)
        || object.metadata.namespace != before.metadata.namespace
    {
        return Err(wrong("name and namespace cannot be changed".to_owned()));
    }
    // What was read is what is replaced, whatever the text says of it.
    object
        .metadata
        .resource_version
        .clone_from(&before.metadata.resource_version);
    object.metadata.uid.clone_from(&before.metadata.uid);
    let place = &connection.namespace;
    session.leaves(
        format!("cluster {place}/{name} may have been changed"),
        vec![format!(
            "look: {}",
            session.kubectl(&format!("k0smotron status {name}"), place)
        )],
    );
    let attempt = format!("change cluster {place}/{name}");
    connection
        .submit(
            &attempt,
            &resources::clusters(),
            &object,
            Submission::Replace,
        )
        .await
        .map(drop)
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
    use crate::model::tests::cluster;

    #[test]
    fn what_nobody_edits_is_not_shown() {
        let text = text(&cluster(json!({"version": "v1.36.3+k0s.2"}))).unwrap();
        assert!(text.contains("replicas: 3"), "{text}");
        assert!(!text.contains("status"), "{text}");
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
