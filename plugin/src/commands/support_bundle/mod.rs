//! `support-bundle`: everything that somebody needs to help, in one file, without secrets.

mod archive;
mod cluster;
mod logs;
mod mothership;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use serde_json::Value;
use tempfile::NamedTempFile;

use self::archive::{Archive, Contents};
use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::{resources, view};
use crate::output::progress::Progress;
use crate::output::table::Table;
use crate::session::Session;
use crate::{duration, flags};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron support-bundle demo\n\
    \x20 kubectl k0smotron support-bundle demo --dry-run\n\
    \x20 kubectl k0smotron support-bundle -A --since 2h --output bundle.tar.gz\n\
    \x20 kubectl k0smotron support-bundle demo --output - | tar tz\n\n\
    It changes nothing. Of Secrets it holds names, keys and sizes; tokens, private keys and\n\
    passwords are taken out of everything else. Of each container it holds the last 4000 lines of\n\
    its log and of the run before, 2 MiB of each at most. Look it through before you send it.")]
pub struct SupportBundleArgs {
    /// Name of the cluster; all of the namespace unless given
    #[arg(value_parser = flags::object_name)]
    pub name: Option<String>,
    /// The clusters of every namespace
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,
    /// Write to this file, which must not exist, or to standard output with -;
    /// k0smotron-support-NAME-TIME.tar.gz unless given
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Only logs and events of so long ago at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub since: Option<Duration>,
    /// Gather everything, list what the file would hold, and write none
    #[arg(long)]
    pub dry_run: bool,
}

/// Where the archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    File(PathBuf),
    Stdout,
    Nowhere,
}

/// What is gathered with, and into.
struct Gathering<'a> {
    session: &'a Session,
    connection: Connection<'a>,
    archive: Archive<NamedTempFile>,
    progress: Progress<'a>,
    since: Option<Duration>,
}

/// Gathers what is known of clusters, of the product and of the mothership.
///
/// # Errors
/// [`Error::Conflict`] for a file that is there, [`Error::Io`] for one that cannot be written,
/// [`Error::UnknownCluster`], or whatever keeps the mothership from answering at all. What else
/// cannot be had is noted in the archive and on standard error.
pub async fn run(session: &Session, args: &SupportBundleArgs) -> Result<(), Error> {
    let now = Timestamp::now();
    let stem = stem(args.name.as_deref(), now);
    let target = target(args, &stem)?;
    session.leaves("no file was written", Vec::new());
    let connection = session.connect().await?;
    let client = connection.client();
    let version = connection
        .call("ask the mothership for its version", || {
            client.apiserver_version()
        })
        .await?;
    let (clusters, gap) = clusters(&connection, args).await?;
    let progress = Progress::start(&session.out, "gathering what is known");
    let mut gathering = Gathering {
        session,
        archive: Archive::new(temporary(&target)?, &stem, now)?,
        connection,
        progress,
        since: args.since,
    };
    if let Some(gap) = gap {
        gathering.archive.lacks(&gap);
    }
    let server = gathering.connection.server.clone();
    let subject = subject(args, &gathering.connection.namespace);
    mothership::gather(&mut gathering, &version).await?;
    for found in &clusters {
        cluster::gather(&mut gathering, found, now).await?;
    }
    let Gathering {
        archive, progress, ..
    } = gathering;
    let title = format!("Support bundle of {subject} at {server}");
    let (file, contents) = archive.finish(&title)?;
    drop(progress);
    deliver(session, &target, file, &contents)
}

/// The Clusters that were asked for. Whoever may not see them, or has no such kind, gets the rest.
async fn clusters(
    connection: &Connection<'_>,
    args: &SupportBundleArgs,
) -> Result<(Vec<DynamicObject>, Option<String>), Error> {
    let resource = resources::clusters();
    let found = if let Some(name) = &args.name {
        connection.cluster(name).await.map(|found| vec![found])
    } else {
        let namespace = (!args.all_namespaces).then_some(connection.namespace.as_str());
        list(connection, &resource, namespace, "").await
    };
    match found {
        Ok(found) => {
            let found = found.into_iter();
            let found = found.map(|cluster| view::identified(cluster, &resource));
            Ok((found.collect(), None))
        }
        Err(
            error @ (Error::Forbidden { .. } | Error::NotInstalled { .. } | Error::Server { .. }),
        ) => Ok((Vec::new(), Some(error.to_string()))),
        Err(error) => Err(error),
    }
}

/// What it is about, for people.
fn subject(args: &SupportBundleArgs, namespace: &str) -> String {
    match &args.name {
        Some(name) => format!("cluster {namespace}/{name}"),
        None if args.all_namespaces => "the clusters of all namespaces".to_owned(),
        None => format!("the clusters of namespace {namespace}"),
    }
}

/// The name of the archive's folder, and of its file without the ending.
fn stem(name: Option<&str>, now: Timestamp) -> String {
    let time = now.strftime("%Y%m%dT%H%M%SZ");
    format!("k0smotron-support-{}-{time}", name.unwrap_or("all"))
}

fn target(args: &SupportBundleArgs, stem: &str) -> Result<Target, Error> {
    if args.dry_run {
        return Ok(Target::Nowhere);
    }
    let path = match &args.output {
        Some(path) if path == Path::new("-") => {
            if io::stdout().is_terminal() {
                return Err(Error::Usage {
                    message: "an archive is nothing to look at on a terminal".to_owned(),
                    hint: "name a file with --output, or pass it on: --output - | tar tz"
                        .to_owned(),
                });
            }
            return Ok(Target::Stdout);
        }
        Some(path) => path.clone(),
        None => PathBuf::from(format!("{stem}.tar.gz")),
    };
    if path.symlink_metadata().is_ok() {
        return Err(there_already(&path));
    }
    Ok(Target::File(path))
}

fn there_already(path: &Path) -> Error {
    Error::Conflict {
        attempt: format!("write {}", path.display()),
        answer: "the file exists".to_owned(),
        hint: "name another with --output, or remove it".to_owned(),
    }
}

/// A file that nobody else can read, and that is gone when this ends early.
fn temporary(target: &Target) -> Result<NamedTempFile, Error> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".k0smotron-support-");
    let made = match target {
        Target::File(path) => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            builder.tempfile_in(folder.unwrap_or_else(|| Path::new(".")))
        }
        Target::Stdout | Target::Nowhere => builder.tempfile(),
    };
    made.map_err(|source| match target {
        Target::File(path) => Error::io(format!("write {}", path.display()), source),
        Target::Stdout | Target::Nowhere => Error::io("make a temporary file", source),
    })
}

fn deliver(
    session: &Session,
    target: &Target,
    file: NamedTempFile,
    contents: &Contents,
) -> Result<(), Error> {
    let out = &session.out;
    match target {
        Target::File(path) => {
            let attempt = format!("write {}", path.display());
            file.as_file()
                .sync_all()
                .map_err(|source| Error::io(&attempt, source))?;
            file.persist_noclobber(path).map_err(|error| {
                if error.error.kind() == io::ErrorKind::AlreadyExists {
                    there_already(path)
                } else {
                    Error::io(&attempt, error.error)
                }
            })?;
            session.leaves(format!("{} was written", path.display()), Vec::new());
            out.text(&format!("{}\n", path.display()))?;
        }
        Target::Stdout => {
            let mut reopened = file
                .reopen()
                .map_err(|source| Error::io("read the archive", source))?;
            out.bytes(&mut reopened)?;
        }
        Target::Nowhere => out.data(&table(contents).render(out.paint()))?,
    }
    for missing in &contents.missing {
        out.note(&format!("not in it: {missing}"));
    }
    let files = contents.entries.len();
    out.note(&match target {
        Target::Nowhere => format!("It would hold {files} files; none was written."),
        _ => format!(
            "It holds {files} files, and index.md says what each is. Secrets were taken out; \
             names, addresses and logs are in it: look it through before you send it."
        ),
    });
    Ok(())
}

fn table(contents: &Contents) -> Table {
    let mut table = Table::new(["FILE", "BYTES", "WHAT"]);
    for entry in &contents.entries {
        table.push(vec![
            entry.path.as_str().into(),
            entry.bytes.to_string().into(),
            entry.what.as_str().into(),
        ]);
    }
    table
}

/// Objects of a kind, in a namespace or in all.
async fn list(
    connection: &Connection<'_>,
    resource: &ApiResource,
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<DynamicObject>, Error> {
    let (api, place): (Api<DynamicObject>, String) = match namespace {
        Some(namespace) => (
            Api::namespaced_with(connection.client().clone(), namespace, resource),
            format!(" in namespace \"{namespace}\""),
        ),
        None => (connection.api_everywhere(resource), String::new()),
    };
    let parameters = ListParams::default().labels(selector);
    let attempt = format!("list {}{place}", resource.plural);
    let found = connection.call(&attempt, || api.list(&parameters)).await?;
    let found = found.items.into_iter();
    Ok(found.map(|item| view::identified(item, resource)).collect())
}

fn value(object: &DynamicObject) -> Value {
    // An object came from JSON, so it can be written as such.
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(output: Option<&Path>) -> SupportBundleArgs {
        SupportBundleArgs {
            name: Some("demo".to_owned()),
            all_namespaces: false,
            output: output.map(Path::to_owned),
            since: None,
            dry_run: false,
        }
    }

    #[test]
    fn the_file_is_called_by_the_cluster_and_the_time() {
        let now = "2026-11-22T10:00:00.5Z".parse().unwrap();
        assert_eq!(stem(None, now), "k0smotron-support-all-20261122T100000Z");
        let stem = stem(Some("demo"), now);
        assert_eq!(
            target(&args(None), &stem).unwrap(),
            Target::File("k0smotron-support-demo-20261122T100000Z.tar.gz".into())
        );
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.tar.gz");
        let target = Target::File(path.clone());
        let (out, captured) = crate::output::Output::captured();
        let session = Session::new(crate::flags::GlobalArgs::default(), out);
        let contents = Contents {
            entries: Vec::new(),
            missing: vec!["nodes".to_owned()],
        };
        let file = temporary(&target).unwrap();
        std::fs::write(&path, "mine").unwrap();
        let error = deliver(&session, &target, file, &contents).unwrap_err();
        assert_eq!(error.exit(), crate::error::Exit::Conflict);
        assert!(self::target(&args(Some(&path)), "x").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");

        std::fs::remove_file(&path).unwrap();
        let file = temporary(&target).unwrap();
        deliver(&session, &target, file, &contents).unwrap();
        assert!(captured.stderr().contains("not in it: nodes"));
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
