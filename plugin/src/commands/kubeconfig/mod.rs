//! `kubeconfig`: prints a cluster's, or brings it into the user's own file.

mod as_user;
mod csr;
mod in_cluster;
mod user_file;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, Args};

use crate::error::Error;
use crate::escape::quoted;
use crate::hosted::{
    HostedConnection, ViaArgs, {self},
};
use crate::kubeconfig::merge::{Entry, Owner};
use crate::kubeconfig::{
    file, {self},
};
use crate::mothership::client::Connection;
use crate::output::{self, Structured};
use crate::session::Session;
use crate::wait::{Look, Wait};
use crate::{duration, flags};

#[derive(Debug, Default, Args)]
// The mothership's address keeps its short name beside this command's own --server.
#[command(arg = Arg::new(flags::SERVER)
    .short('s')
    .value_name("URL")
    .help("Address of the mothership's API server, in place of the cluster entry's")
    .help_heading(flags::GLOBAL)
    .hide_short_help(true))]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron kubeconfig demo --merge && kubectl --context demo get nodes\n\
    \x20 kubectl k0smotron kubeconfig demo --output demo.kubeconfig\n\
    \x20 kubectl k0smotron kubeconfig demo --merge --context-name team-a/demo --use\n\
    \x20 kubectl k0smotron kubeconfig demo --remove\n\
    \x20 kubectl k0smotron kubeconfig demo --as-user alice --group dev --ttl 8h --merge\n\
    \x20 kubectl k0smotron kubeconfig demo --in-cluster --output demo.kubeconfig\n\n\
    --context chooses the mothership, as everywhere; --context-name names the new context.")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct KubeconfigArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// Merge it into your kubeconfig, where nothing is lost; its state before the first merge is
    /// kept beside it
    #[arg(long)]
    pub merge: bool,
    /// Take what --merge brought out of your kubeconfig
    #[arg(
        long,
        conflicts_with_all = ["merge", "force", "server", "wait", "format", "groups", "in_cluster"]
    )]
    pub remove: bool,
    /// Name of the context, cluster and user entries; the cluster's name unless given, with
    /// --as-user followed by the user's
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
    /// Write the address by which pods of the mothership reach the hosted API
    #[arg(long, conflicts_with_all = ["server", "merge"])]
    pub in_cluster: bool,
    /// Have a certificate made for this user, who has no rights but those that are bound to it, in
    /// place of the administrator's; with --remove take out this user's entries only
    #[arg(long, value_name = "USER", value_parser = csr::subject)]
    pub as_user: Option<String>,
    /// Group of the user; may be given several times
    #[arg(
        long = "group",
        value_name = "GROUP",
        requires = "as_user",
        value_parser = csr::subject
    )]
    pub groups: Vec<String>,
    /// How long the user's certificate lasts, from 10m on
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "8h",
        requires = "as_user",
        value_parser = csr::ttl
    )]
    pub ttl: Duration,
    /// How to get to the hosted API.
    #[command(flatten)]
    pub way: ViaArgs,
    /// Wait until there is a kubeconfig
    #[arg(long)]
    pub wait: bool,
    /// How long --wait waits, and how long the certificate of --as-user; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Format of what is printed; yaml unless given
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
pub async fn run(session: &Session, args: &KubeconfigArgs) -> Result<(), Error> {
    if args.remove {
        let (namespace, server) = kubeconfig::place(&session.global).map_err(not_the_name)?;
        return user_file::remove_from(session, args, &args.owner(namespace, server));
    }
    let connection = session.connect().await.map_err(not_the_name)?;
    on(session, connection, args).await
}

async fn on(
    session: &Session,
    connection: Connection<'_>,
    args: &KubeconfigArgs,
) -> Result<(), Error> {
    let found = fetch(session, &connection, args).await?;
    let entry = entry(session, &connection, args, found).await?;
    if args.merge {
        let owner = args.owner(connection.namespace.clone(), connection.server.clone());
        return user_file::merge_into(session, args, &owner, &entry);
    }
    let text = if args.is_plain() {
        entry.to_yaml()?
    } else {
        let format = args.format.unwrap_or(Structured::Yaml);
        output::structured(format, &entry.alone(&args.entry_name()))?
    };
    match args.output.as_deref() {
        None => session.out.text(&text),
        Some(path) if path == Path::new("-") => session.out.text(&text),
        Some(path) => {
            file::write_new(path, &text, args.force)?;
            session.out.note(&args.wrote(path));
            Ok(())
        }
    }
}

/// Merges a cluster's kubeconfig as `--merge --wait` does.
pub async fn merge(session: &Session, connection: Connection<'_>, name: &str) -> Result<(), Error> {
    let args = KubeconfigArgs {
        name: name.to_owned(),
        merge: true,
        wait: true,
        timeout: Duration::from_secs(60),
        ..KubeconfigArgs::default()
    };
    on(session, connection, &args).await
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
) -> Result<Entry, Error> {
    let look_at = session.kubectl(
        &format!("k0smotron status {}", args.name),
        &connection.namespace,
    );
    if !args.wait {
        return match look(session, connection, args).await? {
            Look::Done(entry) => Ok(entry),
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
        timeout: flags::timeout(args.timeout),
        interval: Duration::from_millis(500),
    };
    wait.until(session, async || look(session, connection, args).await)
        .await
}

async fn look(
    session: &Session,
    connection: &Connection<'_>,
    args: &KubeconfigArgs,
) -> Result<Look<Entry>, Error> {
    if let Some(entry) = hosted::kubeconfig(session, connection, &args.name).await? {
        return Ok(Look::Done(entry));
    }
    let cluster = connection.cluster(&args.name).await?;
    Ok(Look::Pending(hosted::missing(&cluster)))
}

/// What the kubeconfig says about the cluster, as the flags want it.
async fn entry(
    session: &Session,
    connection: &Connection<'_>,
    args: &KubeconfigArgs,
    mut entry: Entry,
) -> Result<Entry, Error> {
    if let Some(server) = &args.server {
        entry = entry.at(server);
    }
    if !args.in_cluster && args.as_user.is_none() {
        return Ok(entry);
    }
    let place = HostedConnection::open(session, connection, &args.name, &args.way).await?;
    if args.in_cluster {
        let server = in_cluster::server(session, &place, &entry).await?;
        entry = entry.at(&server);
    }
    if let Some(user) = &args.as_user {
        let signed = as_user::signed(session, &place, args, user).await?;
        entry = entry.of(&signed.certificate, &signed.key);
    }
    Ok(entry)
}

impl KubeconfigArgs {
    /// Whose the entries in the user's file are, of the cluster in this namespace of this mothership.
    fn owner(&self, namespace: String, mothership: String) -> Owner {
        Owner {
            cluster: self.name.clone(),
            namespace,
            mothership,
            user: self.as_user.clone(),
        }
    }

    /// Name of the entries. A user's are not the administrator's.
    fn entry_name(&self) -> String {
        let own = || match &self.as_user {
            Some(user) => format!("{}-{user}", self.name),
            None => self.name.clone(),
        };
        self.context_name.clone().unwrap_or_else(own)
    }

    /// What works first: a user has no rights yet.
    fn first_use(&self) -> &'static str {
        match self.as_user {
            Some(_) => "auth whoami",
            None => "get nodes",
        }
    }

    fn wrote(&self, path: &Path) -> String {
        let quoted = quoted(&path.to_string_lossy());
        let (shown, first_use) = (path.display(), self.first_use());
        format!("Wrote {shown}; use it: kubectl --kubeconfig {quoted} {first_use}")
    }

    /// Whether it keeps the names that its entries have in the mothership.
    fn is_plain(&self) -> bool {
        let address = self.server.is_some() || self.in_cluster;
        let name = self.context_name.is_some() || self.as_user.is_some();
        !address && !name && self.format.is_none()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;
    use crate::commands::Command;

    fn read(line: &str) -> Result<KubeconfigArgs, clap::Error> {
        let words = ["k", "kubeconfig", "demo"].into_iter();
        let cli = Cli::try_parse_from(words.chain(line.split_whitespace()))?;
        match cli.command {
            Command::Kubeconfig(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_of_a_user_have_other_names_than_the_administrators() {
        assert_eq!(read("--merge").unwrap().entry_name(), "demo");
        let alice = read("--as-user alice --group dev --group ops").unwrap();
        assert_eq!(alice.entry_name(), "demo-alice");
        assert_eq!(alice.groups, ["dev", "ops"]);
        assert_eq!(alice.ttl, Duration::from_secs(8 * 3600));
        assert!(!alice.is_plain());
        let named = read("--as-user alice --context-name mine").unwrap();
        assert_eq!(named.entry_name(), "mine");
        assert!(read("--output x").unwrap().is_plain());
    }

    #[test]
    fn the_command_that_is_said_is_quoted() {
        assert_eq!(
            read("").unwrap().wrote(Path::new("my files/a")),
            "Wrote my files/a; use it: kubectl --kubeconfig 'my files/a' get nodes"
        );
    }

    #[test]
    fn flags_that_mean_nothing_together_are_refused() {
        for line in [
            "--group dev",
            "--ttl 8h",
            "--as-user alice --ttl 5m",
            "--as-user alice --group system:masters",
            "--as-user system:masters",
            "--in-cluster --server https://x:1",
            "--in-cluster --merge",
            "--remove --in-cluster",
        ] {
            assert_eq!(read(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert!(read("--remove --as-user alice").is_ok());
        assert!(read("--in-cluster --as-user flux").is_ok());
    }
}
