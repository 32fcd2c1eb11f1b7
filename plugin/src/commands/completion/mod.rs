//! `completion`, and what kubectl and shells ask for while somebody types.
//!
//! kubectl completes its plugins through a program `kubectl_complete-NAME` on the PATH: it gets
//! the words after the plugin's name, the last of which is being typed, and prints a candidate a
//! line, a tab and a description, and in the end a directive. This program is that one too when it
//! is called by that name.

mod words;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use kube::api::ListParams;

use self::words::{Wanted, wanted};
use crate::{
    cli::GlobalArgs,
    client::Connection,
    error::Error,
    kubeconfig,
    output::{ColorWhen, Output},
    resources,
    session::Session,
};

/// The name under which kubectl looks for completions.
pub const HELPER: &str = "kubectl_complete-k0smotron";
/// Nobody waits longer for a name than it takes to type it.
const DEADLINE: Duration = Duration::from_secs(1);
/// Of Cobra, whose protocol this is: files are no answer.
const NO_FILES: &str = ":4";
/// The shell completes on its own, with files.
const FILES: &str = ":0";

/// Flags of `completion`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron completion\n\
    \x20 kubectl k0smotron completion --dry-run\n\n\
    kubectl's own completion has to be set up in your shell: see kubectl completion --help.")]
pub struct CompletionArgs {
    /// Folder of the PATH for the helper; that of this program unless given
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// Puts the helper that kubectl looks for beside this program.
///
/// # Errors
/// [`Error::Conflict`] when something else has its name, [`Error::Io`] when the folder cannot be
/// written to.
pub fn run(session: &Session, args: &CompletionArgs) -> Result<(), Error> {
    let this = std::env::current_exe().map_err(|source| Error::io("find this program", source))?;
    let folder = args.folder.as_deref().or_else(|| this.parent());
    let helper = folder.unwrap_or_else(|| Path::new(".")).join(HELPER);
    let attempt = format!("make {}", helper.display());
    match std::fs::read_link(&helper) {
        Ok(target) if target == this => {
            session
                .out
                .note(&format!("{} is there already.", helper.display()));
            return Ok(());
        }
        // A link to an earlier place of this program.
        Ok(_) if args.dry_run => {}
        Ok(_) => std::fs::remove_file(&helper).map_err(|source| Error::io(&*attempt, source))?,
        Err(_) if helper.exists() => {
            return Err(Error::Conflict {
                attempt,
                answer: "something else has that name".to_owned(),
                hint: "move it away, or choose another --folder of your PATH".to_owned(),
            });
        }
        Err(_) => {}
    }
    if args.dry_run {
        return session.out.data(&format!(
            "{} would be a link to {}\n",
            helper.display(),
            this.display()
        ));
    }
    std::os::unix::fs::symlink(&this, &helper).map_err(|source| Error::io(attempt, source))?;
    session.out.note(&format!(
        "kubectl completes now, through {}.",
        helper.display()
    ));
    Ok(())
}

/// Whether this process was called to complete.
pub fn is_helper(program: Option<&OsStr>) -> bool {
    program.and_then(|program| Path::new(program).file_name()) == Some(OsStr::new(HELPER))
}

/// Prints the candidates for the last of the words. What cannot be found out is left out: who
/// presses a key wants no error.
pub fn complete(words: impl IntoIterator<Item = OsString>) {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let out = Output::of_process(ColorWhen::Never, 0);
    let (mut global, wanted) = wanted(&words);
    // Whoever presses a key wants no requests on the screen.
    global.verbosity = 0;
    let typed = words.last().map(String::as_str).unwrap_or_default();
    // Candidates for `--flag=value` are whole words.
    let (prefix, typed) = match typed.split_once('=') {
        Some((flag, value)) if flag.starts_with('-') => (format!("{flag}="), value),
        _ => (String::new(), typed),
    };
    let mut directive = NO_FILES;
    let found = match wanted {
        Wanted::These(found) => found,
        Wanted::Files => {
            directive = FILES;
            Vec::new()
        }
        Wanted::Contexts => contexts(&global),
        Wanted::Versions => crds::upgrade::known()
            .iter()
            .rev()
            .map(|version| (version.to_string(), String::new()))
            .collect(),
        Wanted::Clusters => ask(&global, &out, &resources::clusters()),
        Wanted::Namespaces => ask(&global, &out, &resources::namespaces()),
        Wanted::Policies => ask(&global, &out, &resources::cluster_policies()),
        Wanted::Requests => ask(&global, &out, &resources::join_token_requests()),
    };
    let mut text = String::new();
    for (word, about) in found.iter().filter(|(word, _)| word.starts_with(typed)) {
        text.push_str(&prefix);
        text.push_str(word);
        if !about.is_empty() {
            text.push('\t');
            text.push_str(about);
        }
        text.push('\n');
    }
    let _ = out.data(&format!("{text}{directive}\n"));
}

fn contexts(global: &GlobalArgs) -> Vec<(String, String)> {
    let config = kubeconfig::load(global.kubeconfig.as_deref())
        .ok()
        .flatten();
    config
        .into_iter()
        .flat_map(|config| config.contexts)
        .map(|context| (context.name, String::new()))
        .collect()
}

/// The names of a kind, asked for within a second.
fn ask(
    global: &GlobalArgs,
    out: &Output,
    resource: &kube::api::ApiResource,
) -> Vec<(String, String)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let names = async {
        let connection = Connection::open(global, out).await.ok()?;
        let everywhere = ["namespaces", "clusterpolicies"].contains(&resource.plural.as_str());
        let api = if everywhere {
            connection.api_everywhere(resource)
        } else {
            connection.api(resource)
        };
        let parameters = ListParams::default().limit(500);
        let found = connection
            .call("complete", || api.list_metadata(&parameters))
            .await
            .ok()?;
        let names = found
            .items
            .into_iter()
            .filter_map(|item| item.metadata.name);
        Some(names.map(|name| (name, String::new())).collect())
    };
    let found = runtime.block_on(async { tokio::time::timeout(DEADLINE, names).await });
    runtime.shutdown_background();
    found.ok().flatten().unwrap_or_default()
}
