//! `completion`, and what kubectl and shells ask for while somebody types.
//!
//! kubectl completes its plugins through a program `kubectl_complete-NAME` on the PATH: it gets
//! the words after the plugin's name, the last of which is being typed, and prints a candidate a
//! line, a tab and a description, and in the end a directive. This program is that one too when it
//! is called by that name.

mod words;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Command, ValueEnum};
use kube::api::ListParams;

use self::words::{Wanted, wanted};
use crate::error::Error;
use crate::flags::GlobalArgs;
use crate::kubeconfig;
use crate::mothership::client::Connection;
use crate::mothership::resources;
use crate::output::{ColorWhen, Output};
use crate::session::Session;

/// The name under which kubectl looks for completions.
pub const HELPER: &str = "kubectl_complete-k0smotron";
/// The name of this program.
const PROGRAM: &str = "kubectl-k0smotron";
/// What the scripts put before the words.
const ASK: &str = "__complete";
/// Nobody waits longer for a name than it takes to type it.
const DEADLINE: Duration = Duration::from_secs(1);
/// Of Cobra, whose protocol this is: files are no answer.
const NO_FILES: &str = ":4";
/// The shell completes on its own, with files.
const FILES: &str = ":0";

/// A shell that there is a script for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash 4.4 or later.
    Bash,
    /// zsh.
    Zsh,
    /// fish 3.4 or later.
    Fish,
}

impl Shell {
    /// What the shell is to read.
    const fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("script.bash"),
            Self::Zsh => include_str!("script.zsh"),
            Self::Fish => include_str!("script.fish"),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron completion\n\
    \x20 kubectl k0smotron completion --dry-run\n\
    \x20 source <(kubectl-k0smotron completion bash)\n\n\
    Without a shell, the helper that kubectl looks for is put beside this program. kubectl's own\n\
    completion has to be set up in your shell: see kubectl completion --help.")]
pub struct CompletionArgs {
    /// Print what this shell reads to complete the plugin when it is called as kubectl-k0smotron
    #[arg(value_enum, value_name = "SHELL", conflicts_with_all = ["folder", "dry_run"])]
    pub shell: Option<Shell>,
    /// Folder of the PATH for the helper; that of this program unless given
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// Prints the script of a shell, or puts the helper that kubectl looks for beside this program.
///
/// # Errors
/// [`Error::Conflict`] when something else has its name, [`Error::Io`] when the folder cannot be
/// written to.
pub fn run(session: &Session, args: &CompletionArgs) -> Result<(), Error> {
    if let Some(shell) = args.shell {
        return session.out.text(shell.script());
    }
    let this = std::env::current_exe().map_err(|source| Error::io("find this program", source))?;
    let this = on_path(&this, std::env::var_os("PATH").as_deref()).unwrap_or(this);
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
        return session.out.text(&format!(
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

/// Where the PATH leads to this program: krew and others keep programs elsewhere, and put a link
/// into the PATH.
fn on_path(this: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?)
        .map(|folder| folder.join(PROGRAM))
        .find(|found| found.canonicalize().is_ok_and(|found| found == this))
}

/// The words to complete, when this process was called to do that: by kubectl through the helper,
/// or by the script of a shell.
pub fn asked(arguments: &[OsString]) -> Option<&[OsString]> {
    let (program, words) = arguments.split_first()?;
    if Path::new(program).file_name() == Some(OsStr::new(HELPER)) {
        return Some(words);
    }
    let (first, words) = words.split_first()?;
    (first == ASK).then_some(words)
}

/// Prints the candidates for the last of the words, as this definition of the command line has
/// them. What cannot be found out is left out: who
/// presses a key wants no error.
pub fn complete(definition: Command, words: &[OsString]) {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let out = Output::of_process(ColorWhen::Never, 0);
    let (mut global, wanted) = wanted(definition, &words);
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
    let _ = out.text(&format!("{text}{directive}\n"));
}

fn contexts(global: &GlobalArgs) -> Vec<(String, String)> {
    let config = kubeconfig::load(global.kubeconfig.as_deref()).unwrap_or_default();
    let names = config.contexts.into_iter().map(|(name, _)| name);
    names.map(|name| (name, String::new())).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_for(arguments: &[&str]) -> Option<Vec<String>> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let words = asked(&arguments)?.iter();
        Some(
            words
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
        )
    }

    #[test]
    fn kubectl_and_scripts_ask_for_words_and_nobody_else() {
        let words = Some(vec!["status".to_owned(), String::new()]);
        assert_eq!(
            asked_for(&["/bin/kubectl_complete-k0smotron", "status", ""]),
            words
        );
        assert_eq!(
            asked_for(&["kubectl-k0smotron", "__complete", "status", ""]),
            words
        );
        assert_eq!(asked_for(&["kubectl-k0smotron", "status", "demo"]), None);
        assert_eq!(asked_for(&["kubectl-k0smotron"]), None);
        assert_eq!(asked_for(&[]), None);
    }

    #[test]
    fn the_helper_goes_where_the_path_leads_to_this_program() {
        let home = tempfile::tempdir().unwrap();
        let (store, bin) = (home.path().join("store"), home.path().join("bin"));
        let other = home.path().join("other");
        for folder in [&store, &bin, &other] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::write(store.join(PROGRAM), "").unwrap();
        std::fs::write(other.join(PROGRAM), "").unwrap();
        std::os::unix::fs::symlink(store.join(PROGRAM), bin.join(PROGRAM)).unwrap();
        let this = store.join(PROGRAM).canonicalize().unwrap();
        let path = std::env::join_paths([&other, &bin]).unwrap();
        assert_eq!(on_path(&this, Some(&path)), Some(bin.join(PROGRAM)));
        assert_eq!(on_path(&this, Some(other.as_os_str())), None);
        assert_eq!(on_path(&this, None), None);
    }
}
