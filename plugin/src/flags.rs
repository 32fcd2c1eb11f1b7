//! Flags that commands share, and how their values are read.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use crds::names;
use crds::validation::{LABEL, SUBDOMAIN};

use crate::output::ColorWhen;
use crate::{duration, escape};

/// The heading of what every command has.
pub const GLOBAL: &str = "Global options";
/// What clap knows the mothership's address by: `server` is another one where a command has its own.
pub const SERVER: &str = "mothership";

/// Flags that every command has; kubectl's names and meanings.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = GLOBAL)]
pub struct GlobalArgs {
    /// Namespace; that of the current context unless given
    #[arg(short, long, global = true, value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig that leads to the mothership
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig file; KUBECONFIG or ~/.kube/config unless given
    #[arg(long, global = true, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub kubeconfig: Option<PathBuf>,
    /// Cluster entry of the kubeconfig, in place of the context's
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub cluster: Option<String>,
    /// User entry of the kubeconfig, in place of the context's
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,
    /// Address of the mothership's API server, in place of the cluster entry's
    #[arg(id = SERVER, short = 's', long = "server", global = true, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,
    /// File with the certificates that the API server's is checked with
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<String>,
    /// Do not check the API server's certificate: whoever is on the way reads along
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure_skip_tls_verify: bool,
    /// Name to find in the API server's certificate
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// Bearer token, in place of the user entry's
    #[arg(long, global = true, value_name = "TOKEN", hide_short_help = true)]
    pub token: Option<String>,
    /// User to impersonate
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        hide_short_help = true
    )]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be given several times
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        hide_short_help = true
    )]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate
    #[arg(
        long = "as-uid",
        global = true,
        value_name = "UID",
        hide_short_help = true
    )]
    pub impersonate_uid: Option<String>,
    /// How long a single request may take; 0 is for ever [default: 10s]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = duration::parse,
        hide_short_help = true
    )]
    pub request_timeout: Option<Duration>,
    /// Show each request on standard error: 1 method, path, status and time, 7 headers as well;
    /// bodies are never shown
    #[arg(
        short = 'v',
        long = "v",
        global = true,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = 0,
        default_missing_value = "1",
        hide_default_value = true,
        hide_short_help = true
    )]
    pub verbosity: u8,
    /// When to use colours
    #[arg(
        help = "When to use colours; auto is on a terminal without NO_COLOR [default: auto]",
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub color: ColorWhen,
}

/// How long a request may take unless the user says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

impl GlobalArgs {
    /// A flag whose value is empty is one that a script left out.
    #[must_use]
    pub fn given(mut self) -> Self {
        for text in [
            &mut self.namespace,
            &mut self.context,
            &mut self.cluster,
            &mut self.user,
            &mut self.server,
            &mut self.certificate_authority,
            &mut self.tls_server_name,
            &mut self.token,
            &mut self.impersonate,
            &mut self.impersonate_uid,
        ] {
            text.take_if(|text| text.is_empty());
        }
        self.kubeconfig.take_if(|path| path.as_os_str().is_empty());
        self.impersonate_groups.retain(|group| !group.is_empty());
        self
    }

    /// How long a request may take; `None` is for ever.
    pub fn deadline(&self) -> Option<Duration> {
        let deadline = self.request_timeout.unwrap_or(DEADLINE);
        (!deadline.is_zero()).then_some(deadline)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DryRun {
    /// Do it.
    #[default]
    None,
    /// Print what would be sent, without any request.
    Client,
    /// Let the API server check it without keeping it.
    Server,
}

impl DryRun {
    /// What kubectl writes behind what was only tried out.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// The flag of everything that changes something.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct DryRunArgs {
    /// Only say what would be done: checked by nobody (client) or by the API server (server)
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_value_t,
        default_missing_value = "client"
    )]
    pub dry_run: DryRun,
}

/// The flag `--timeout` as kubectl reads it: 0 waits for ever.
pub fn timeout(flag: Duration) -> Option<Duration> {
    (!flag.is_zero()).then_some(flag)
}

/// Names of objects, checked before any request is made: lower-case letters, digits, `-` and `.`.
pub fn object_name(text: &str) -> Result<String, String> {
    if names::is_object_name(text) {
        Ok(text.to_owned())
    } else {
        Err(SUBDOMAIN.to_owned())
    }
}

/// What an object says of its namespace, checked likewise: it becomes a part of the address that is
/// asked, and whoever wrote the object would choose another address.
pub fn written_namespace(text: &str) -> Result<(), String> {
    if names::is_label(text) {
        return Ok(());
    }
    let shown = escape::line(text);
    Err(format!(
        "metadata.namespace: Invalid value: \"{shown}\": {LABEL}"
    ))
}

fn namespace(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Ok(String::new())
    } else {
        object_name(text)
    }
}
