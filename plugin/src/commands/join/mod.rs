//! `join`: a token for a machine, in the form that the machine takes, or carried there over ssh.

mod registration;
mod render;
pub mod script;
pub mod ssh;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use crds::version::K0sVersion;

use self::script::Setup;
use crate::error::Error;
use crate::mothership::view;
use crate::output::{Structured, structured};
use crate::session::Session;
use crate::tokens::{self, JoinToken, TokenArgs};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron join demo\n\
    \x20 kubectl k0smotron join demo --ssh root@node-1,root@node-2\n\
    \x20 kubectl k0smotron join demo --ssh me@node-1 --k0s-binary ./k0s --print\n\
    \x20 kubectl k0smotron join demo -o cloud-init --labels tier=web > user-data\n\
    \x20 kubectl k0smotron join demo -o script --download-url 'https://mirror.example.org/k0s-{version}-{arch}' \\\n\
    \x20   --k0s-sha256 \"$(sha256sum <k0s | cut -c1-64)\"")]
pub struct JoinArgs {
    /// The token.
    #[command(flatten)]
    pub request: TokenArgs,
    /// The command runs k0s in the foreground rather than as a service
    #[arg(long, conflicts_with = "machines")]
    pub foreground: bool,
    /// k0s version of the machine; the cluster's unless given
    #[arg(long, value_name = "VERSION")]
    pub k0s_version: Option<K0sVersion>,
    /// Where the machine gets k0s; {version} and {arch} are replaced, and --k0s-sha256 is needed
    #[arg(long, value_name = "URL", value_parser = download_url)]
    pub download_url: Option<String>,
    /// Take k0s from this path of the machine rather than download it; with --ssh it is a file
    /// of this machine, which is sent along
    #[arg(long, value_name = "PATH", conflicts_with = "download_url")]
    pub k0s_binary: Option<PathBuf>,
    /// SHA-256 sum of k0s, in place of the one that its release names; several with commas, one for
    /// each {arch}
    #[arg(long, value_name = "SUM", value_delimiter = ',', value_parser = sha256)]
    pub k0s_sha256: Vec<String>,
    /// Labels of the node, such as tier=web; several with commas
    #[arg(long, value_name = "LABEL", value_delimiter = ',', value_parser = registration::label)]
    pub labels: Vec<String>,
    /// Taints of the node, such as dedicated=web:NoSchedule; several with commas
    #[arg(long, value_name = "TAINT", value_delimiter = ',', value_parser = registration::taint)]
    pub taints: Vec<String>,
    /// Further arguments of k0s worker, in one text, quoted as for a shell
    #[arg(
        long,
        value_name = "ARGUMENTS",
        allow_hyphen_values = true,
        value_parser = script::plain
    )]
    pub worker_args: Option<String>,
    /// What runs in place of k0s install and k0s start
    #[arg(long, value_name = "COMMAND", hide = true, value_parser = script::plain)]
    pub start_command: Option<String>,
    /// Show what would be printed, with the token masked; nothing is asked for
    #[arg(long)]
    pub print: bool,
    /// What to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    /// Joining machines from here.
    #[command(flatten)]
    pub ssh: ssh::SshArgs,
}

fn download_url(text: &str) -> Result<String, String> {
    let known = ["https://", "http://", "file://"];
    if !known.iter().any(|scheme| text.starts_with(scheme)) || text.contains(char::is_whitespace) {
        return Err("an address begins with https://, http:// or file://".to_owned());
    }
    script::plain(text)
}

fn sha256(text: &str) -> Result<String, String> {
    if text.len() != 64 || !text.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err("a SHA-256 sum has 64 digits from 0 to f".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

/// The form in which the token is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A command for a shell on the machine, with the script.
    #[default]
    Command,
    /// The token alone.
    Token,
    /// A script for the machine, which takes back what it did when a step fails.
    Script,
    /// User data for cloud-init, with the script.
    CloudInit,
    /// A configuration for Ignition 3.4, with the script.
    Ignition,
    /// A unit for systemd, with the script.
    Systemd,
    /// The token and what is known of it, for programs.
    Json,
}

/// Asks for a token, waits for it, prints it.
pub async fn run(session: &Session, args: &JoinArgs) -> Result<(), Error> {
    let setup = Setup::from_args(args)?;
    if args.ssh.machines.is_empty() {
        on_the_machine(args)?;
    }
    let connection = session.connect().await?;
    let cluster = connection.cluster(&args.request.cluster).await?;
    let version = match &args.k0s_version {
        Some(version) => Some(version.to_string()),
        None => tokens::version_of(&cluster),
    };
    let masked = JoinToken::masked(
        &connection.namespace,
        &args.request.cluster,
        args.request.role,
        version.clone(),
    );
    if !args.ssh.machines.is_empty() {
        return ssh::run(session, &connection, args, &cluster, &masked).await;
    }
    // A cluster that is new has its version before it has tokens.
    let comes = version.is_none() && view::text(&cluster, "/status/version").is_none();
    let masked = JoinToken {
        version: comes.then(|| "<version>".to_owned()).or(masked.version),
        ..masked
    };
    // What cannot be shown is not worth a token.
    let preview = render(&masked, args, &setup)?;
    if args.print {
        return session.out.data(&match args.output {
            // Nobody can read what is packed.
            Format::Command => script::script(&masked, &setup)?,
            _ => preview,
        });
    }
    let token = tokens::obtain(session, &connection, &args.request, &cluster).await?;
    let version = match version {
        None if comes => {
            let found = connection.cluster(&token.cluster).await;
            found.map(|cluster| tokens::version_of(&cluster))
        }
        known => Ok(known),
    };
    let text = version.and_then(|version| {
        let whole = JoinToken {
            version,
            ..token.clone()
        };
        render(&whole, args, &setup)
    });
    let printed = text.and_then(|text| session.out.data(&text));
    // There is a token, whether or not anybody has read it.
    tokens::tell(session, &token);
    printed
}

fn render(token: &JoinToken, args: &JoinArgs, setup: &Setup) -> Result<String, Error> {
    match args.output {
        Format::Command => Ok(token.command(setup)? + "\n"),
        Format::Token => Ok(format!("{}\n", token.token)),
        Format::Script => script::script(token, setup),
        Format::CloudInit => token.cloud_init(setup),
        Format::Ignition => token.ignition(setup),
        Format::Systemd => token.systemd(setup),
        Format::Json => structured(Structured::Json, token),
    }
}

/// A path of the machine means nothing from where this program stands, and what comes with a
/// service has nobody in front of it.
fn on_the_machine(args: &JoinArgs) -> Result<(), Error> {
    if args.foreground && !matches!(args.output, Format::Command | Format::Script) {
        return Err(Error::Usage {
            message: "--foreground is for the command and the script".to_owned(),
            hint: "leave it out, or add -o script".to_owned(),
        });
    }
    match &args.k0s_binary {
        Some(path) if !path.is_absolute() => Err(Error::Usage {
            message: format!(
                "\"{}\" must be an absolute path on the machine",
                path.display()
            ),
            hint: "write it like --k0s-binary /opt/k0s".to_owned(),
        }),
        _ => Ok(()),
    }
}
