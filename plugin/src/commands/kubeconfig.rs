//! `kubeconfig`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use crds::names;

use crate::{
    cli,
    client::Connection,
    duration,
    error::Error,
    hosted, kubeconfig, kubeconfig_file, merge,
    output::{self, Structured},
    session::Session,
    wait::{Look, Wait},
};

/// Flags of `kubeconfig`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron kubeconfig demo --merge && kubectl --context demo get nodes\n\
    \x20 kubectl k0smotron kubeconfig demo --output demo.kubeconfig\n\
    \x20 kubectl k0smotron kubeconfig demo --merge --context-name team-a/demo --use\n\
    \x20 kubectl k0smotron kubeconfig demo --remove\n\n\
    --context chooses the mothership, as everywhere; --context-name names the new context.")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct KubeconfigArgs {
    /// Name of the cluster
    #[arg(value_parser = cli::object_name)]
    pub name: String,
    /// Merge it into your kubeconfig, where nothing is lost; a backup is kept beside it
    #[arg(long)]
    pub merge: bool,
    /// Take what --merge brought out of your kubeconfig; a backup is kept beside it
    #[arg(long, conflicts_with_all = ["merge", "force", "server", "wait", "format"])]
    pub remove: bool,
    /// Name of the context, cluster and user entries; the cluster's name unless given
    #[arg(long, value_name = "NAME", value_parser = entry_name)]
    pub context_name: Option<String>,
    /// Make the merged context the current one
    #[arg(long = "use", requires = "merge")]
    pub switch: bool,
    /// Write to this file; with --merge, merge into it
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite the file of --output
    #[arg(long, requires = "output", conflicts_with = "merge")]
    pub force: bool,
    /// Address of the hosted API to write, scheme and port included
    #[arg(long, value_name = "URL", value_parser = url)]
    pub server: Option<String>,
    /// Wait until there is a kubeconfig
    #[arg(long)]
    pub wait: bool,
    /// How long --wait waits; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Format of what is printed; as the mothership has it unless given
    #[arg(
        short = 'o',
        long,
        value_enum,
        value_name = "FORMAT",
        conflicts_with = "merge"
    )]
    pub format: Option<Structured>,
}

fn entry_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("must not be empty".to_owned());
    }
    Ok(text.to_owned())
}

fn url(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        _ => Err("an address looks like https://api.example.org:6443".to_owned()),
    }
}

/// Prints or merges a cluster's kubeconfig.
///
/// # Errors
/// Whatever the API server answers; [`Error::Conflict`] when a name in the user's file is taken.
pub async fn run(session: &Session, args: &KubeconfigArgs) -> Result<(), Error> {
    let connection = session.connect().await.map_err(not_the_name)?;
    if args.remove {
        return remove_from(session, &connection, args);
    }
    let text = fetch(session, &connection, args).await?;
    if args.merge {
        return merge_into(session, &connection, args, &text);
    }
    let text = shaped(&connection, args, text)?;
    match args.output.as_deref() {
        None => session.out.data(&text),
        Some(path) if path == Path::new("-") => session.out.data(&text),
        Some(path) => {
            kubeconfig_file::write_new(path, &text, args.force)?;
            session.out.note(&format!(
                "Wrote {}; use it: kubectl --kubeconfig {} get nodes",
                path.display(),
                path.display()
            ));
            Ok(())
        }
    }
}

/// Merges a cluster's kubeconfig as `--merge --wait` does.
///
/// # Errors
/// As [`run`].
pub async fn merge(session: &Session, name: &str) -> Result<(), Error> {
    let args = KubeconfigArgs {
        name: name.to_owned(),
        merge: true,
        wait: true,
        timeout: Duration::from_secs(60),
        ..KubeconfigArgs::default()
    };
    run(session, &args).await
}

/// --context chooses the mothership; who meant the new context is told how to name that.
fn not_the_name(error: Error) -> Error {
    match error {
        Error::Kubeconfig { message, hint } if message.contains("has no context") => {
            let hint = format!("{hint}; the new context is named with --context-name");
            Error::Kubeconfig { message, hint }
        }
        other => other,
    }
}

async fn fetch(
    session: &Session,
    connection: &Connection<'_>,
    args: &KubeconfigArgs,
) -> Result<String, Error> {
    let look_at = session.kubectl(
        &format!("k0smotron status {}", args.name),
        &connection.namespace,
    );
    if !args.wait {
        return match look(connection, args).await? {
            Look::Done(text) => Ok(text),
            Look::Pending(obstacle) => Err(Error::NotFound {
                attempt: format!(
                    "get the kubeconfig of {}/{}",
                    connection.namespace, args.name
                ),
                answer: format!("it is not there yet: {obstacle}"),
                hint: format!("wait for it with --wait, or look: {look_at}"),
            }),
        };
    }
    session.leaves(
        "nothing was changed",
        vec![format!("see how far the cluster is: {look_at}")],
    );
    let what = format!("the kubeconfig of {}/{}", connection.namespace, args.name);
    let wait = Wait {
        what: &what,
        timeout: cli::timeout(args.timeout),
        interval: Duration::from_millis(500),
    };
    wait.until(session, async || look(connection, args).await)
        .await
}

async fn look(connection: &Connection<'_>, args: &KubeconfigArgs) -> Result<Look<String>, Error> {
    if let Some(text) = hosted::kubeconfig(connection, &args.name).await? {
        return Ok(Look::Done(text));
    }
    let cluster = connection.cluster(&args.name).await?;
    Ok(Look::Pending(hosted::missing(&cluster)))
}

fn unusable(connection: &Connection<'_>, args: &KubeconfigArgs, problem: &merge::Problem) -> Error {
    Error::Kubeconfig {
        message: format!(
            "the kubeconfig in Secret {}/{} cannot be used: {problem}",
            connection.namespace,
            names::kubeconfig(&args.name)
        ),
        hint: "delete that Secret: the controller makes it anew".to_owned(),
    }
}

fn entry(
    connection: &Connection<'_>,
    args: &KubeconfigArgs,
    text: &str,
) -> Result<merge::Entry, Error> {
    let entry =
        merge::Entry::current(text).map_err(|problem| unusable(connection, args, &problem))?;
    Ok(match &args.server {
        Some(server) => entry.at(server),
        None => entry,
    })
}

fn shaped(
    connection: &Connection<'_>,
    args: &KubeconfigArgs,
    text: String,
) -> Result<String, Error> {
    let as_it_is = args.server.is_none() && args.context_name.is_none() && args.format.is_none();
    if as_it_is {
        return Ok(text);
    }
    let name = args.context_name.as_deref().unwrap_or(&args.name);
    let alone = entry(connection, args, &text)?.alone(name);
    output::structured(args.format.unwrap_or(Structured::Yaml), &alone)
}

fn merge_into(
    session: &Session,
    connection: &Connection<'_>,
    args: &KubeconfigArgs,
    text: &str,
) -> Result<(), Error> {
    let entry = entry(connection, args, text)?;
    let name = args.context_name.as_deref().unwrap_or(&args.name);
    let path = target(session, args)?;
    let owner = owner(connection, args);
    let mut result = None;
    let changed = kubeconfig_file::rewrite(&path, |before| {
        let merged = merge::merge(before, &entry, &owner, name, args.switch)
            .map_err(|problem| refused(&path, &problem))?;
        let text = merged.changed.then(|| merged.text.clone());
        result = Some(merged);
        Ok(text)
    })?;
    let out = &session.out;
    match &changed {
        None => out.note(&format!(
            "{} has context \"{name}\" already.",
            path.display()
        )),
        Some(changed) => {
            out.note(&format!(
                "Merged context \"{name}\" into {}.",
                changed.path.display()
            ));
            if let Some(backup) = &changed.backup {
                out.note(&format!("Its state before is in {}.", backup.display()));
            }
        }
    }
    if result.as_ref().is_some_and(|merged| merged.lost_comments) {
        out.note("Its style did not allow to keep the comments; the backup has them.");
    }
    let current = result.is_some_and(|merged| merged.is_current);
    let context = if current {
        String::new()
    } else {
        format!(" --context {name}")
    };
    out.note(&format!("Use it: kubectl{context} get nodes"));
    Ok(())
}

fn target(session: &Session, args: &KubeconfigArgs) -> Result<PathBuf, Error> {
    match &args.output {
        Some(path) => Ok(path.clone()),
        None => kubeconfig::file_to_change(session.global.kubeconfig.as_deref()),
    }
}

fn owner(connection: &Connection<'_>, args: &KubeconfigArgs) -> merge::Owner {
    merge::Owner {
        cluster: args.name.clone(),
        namespace: connection.namespace.clone(),
        mothership: connection.server.clone(),
    }
}

/// Asks nobody: a cluster that is long gone has entries as well.
fn remove_from(
    session: &Session,
    connection: &Connection<'_>,
    args: &KubeconfigArgs,
) -> Result<(), Error> {
    let path = target(session, args)?;
    let owner = owner(connection, args);
    let mut result = None;
    let changed = kubeconfig_file::rewrite(&path, |before| {
        let removed = merge::remove(before, &owner, args.context_name.as_deref())
            .map_err(|problem| refused(&path, &problem))?;
        let text = removed.as_ref().map(|removed| removed.text.clone());
        result = removed;
        Ok(text)
    })?;
    let (Some(changed), Some(removed)) = (changed, result) else {
        session.out.note(&format!(
            "{} has nothing of cluster {}/{}.",
            path.display(),
            owner.namespace,
            owner.cluster
        ));
        return Ok(());
    };
    session.out.note(&format!(
        "Removed what --merge brought of cluster {}/{} from {}.",
        owner.namespace,
        owner.cluster,
        changed.path.display()
    ));
    if let Some(backup) = &changed.backup {
        session
            .out
            .note(&format!("Its state before is in {}.", backup.display()));
    }
    if removed.lost_comments {
        session
            .out
            .note("Its style did not allow to keep the comments; the backup has them.");
    }
    if removed.was_current {
        session
            .out
            .note("It was the current context; choose another: kubectl config use-context NAME");
    }
    Ok(())
}

fn refused(path: &Path, problem: &merge::Problem) -> Error {
    match problem {
        merge::Problem::Taken { .. } => Error::Conflict {
            attempt: format!("merge into {}", path.display()),
            answer: problem.to_string(),
            hint: "choose another name with --context-name; nothing was changed".to_owned(),
        },
        merge::Problem::Unusable(_) => Error::Kubeconfig {
            message: format!("cannot change {}: {problem}", path.display()),
            hint: "repair the file, or write to another with --output FILE".to_owned(),
        },
    }
}
