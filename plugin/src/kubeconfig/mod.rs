//! Which kubeconfig is used, and what it says; kubectl's rules.

pub mod file;
pub mod merge;

use std::io;
use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::error::{Error, innermost};
use crate::flags::GlobalArgs;
use crate::suggest;

/// What the user's kubeconfig says about the mothership.
#[derive(Debug)]
pub struct Mothership {
    pub config: kube::Config,
    /// The namespace in which names are looked for.
    pub namespace: String,
    pub server: String,
    /// The proxy on the way to it, if any.
    pub proxy: Option<String>,
}

/// Files that are read, in the order of their weight.
///
/// # Errors
/// [`Error::Kubeconfig`] when there is neither a flag, nor `KUBECONFIG`, nor a home directory.
pub fn files(explicit: Option<&Path>) -> Result<Vec<PathBuf>, Error> {
    if let Some(path) = explicit {
        return Ok(vec![path.to_owned()]);
    }
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        let files: Vec<PathBuf> = std::env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        if !files.is_empty() {
            return Ok(files);
        }
    }
    std::env::home_dir()
        .map(|home| vec![home.join(".kube").join("config")])
        .ok_or_else(|| Error::Kubeconfig {
            message: "there is no kubeconfig: neither KUBECONFIG nor HOME is set".to_owned(),
            hint: "name one with --kubeconfig FILE".to_owned(),
        })
}

/// The file that a new entry goes to: the first that exists, else the last named.
pub fn file_to_change(explicit: Option<&Path>) -> Result<PathBuf, Error> {
    let files = files(explicit)?;
    let existing = files
        .iter()
        .find(|path| path.exists())
        .or_else(|| files.last());
    existing.cloned().ok_or_else(|| Error::Kubeconfig {
        message: "there is no kubeconfig to write to".to_owned(),
        hint: "name one with --kubeconfig FILE".to_owned(),
    })
}

/// Reads and merges the user's kubeconfig files; `None` when no file is there.
///
/// # Errors
/// [`Error::Kubeconfig`] when one cannot be read or is no kubeconfig, or when the one that was
/// named by a flag is not there.
pub fn load(explicit: Option<&Path>) -> Result<Option<Kubeconfig>, Error> {
    let mut merged: Option<Kubeconfig> = None;
    for path in files(explicit)? {
        let read = match Kubeconfig::read_from(&path) {
            Ok(read) => read,
            Err(KubeconfigError::ReadConfig(source, _))
                if source.kind() == io::ErrorKind::NotFound && explicit.is_none() =>
            {
                continue;
            }
            Err(error) => return Err(unreadable(&path, &error)),
        };
        merged = Some(match merged {
            None => read,
            Some(first) => first
                .merge(read)
                .map_err(|error| unreadable(&path, &error))?,
        });
    }
    Ok(merged)
}

fn unreadable(path: &Path, error: &KubeconfigError) -> Error {
    let (message, hint) = match error {
        KubeconfigError::ReadConfig(source, _) => (
            format!(
                "cannot read the kubeconfig {}: {}",
                path.display(),
                innermost(source)
            ),
            "name another with --kubeconfig FILE or KUBECONFIG",
        ),
        KubeconfigError::Parse(source) => (
            format!(
                "{} is not a kubeconfig: {}",
                path.display(),
                parse_message(source)
            ),
            "repair the file, or name another with --kubeconfig FILE or KUBECONFIG",
        ),
        other => (
            format!(
                "cannot use the kubeconfig {}: {}",
                path.display(),
                innermost(other)
            ),
            "repair the file, or name another with --kubeconfig FILE or KUBECONFIG",
        ),
    };
    Error::Kubeconfig {
        message,
        hint: hint.to_owned(),
    }
}

/// The parser's first line: what and where, without the picture of the place, which could show
/// a credential, and without its advice to programmers.
pub fn parse_message(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let said = line.trim().trim_start_matches("error: ");
    said.split("; use ").next().unwrap_or(said).to_owned()
}

/// The namespace by flag or by the current context, without any request; `default` when neither
/// says.
pub fn namespace(global: &GlobalArgs) -> Result<String, Error> {
    if let Some(namespace) = &global.namespace {
        return Ok(namespace.clone());
    }
    let Some(kubeconfig) = load(global.kubeconfig.as_deref())? else {
        return Ok("default".to_owned());
    };
    let context = global
        .context
        .as_ref()
        .or(kubeconfig.current_context.as_ref());
    if let Some(name) = &global.context {
        known_context(&kubeconfig, name)?;
    }
    let namespace = kubeconfig
        .contexts
        .iter()
        .find(|entry| Some(&entry.name) == context)
        .and_then(|entry| entry.context.as_ref()?.namespace.clone());
    Ok(namespace
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "default".to_owned()))
}

/// Everything needed to talk to the mothership; no request is made.
///
/// # Errors
/// [`Error::Kubeconfig`] for a missing, unreadable or contradictory kubeconfig.
pub async fn mothership(global: &GlobalArgs) -> Result<Mothership, Error> {
    let explicit = global.kubeconfig.as_deref();
    let config = match load(explicit)? {
        Some(kubeconfig) => from_files(global, kubeconfig).await?,
        None => in_cluster(explicit)?,
    };
    let mut config = config;
    config.auth_info.impersonate.clone_from(&global.impersonate);
    if !global.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(global.impersonate_groups.clone());
    }
    if global.deadline().is_some() {
        // The deadline of the whole request covers connecting, and says so in plainer words.
        config.connect_timeout = None;
    }
    config.default_retry = false;
    Ok(Mothership {
        namespace: global
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone()),
        server: config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned(),
        proxy: config.proxy_url.as_ref().map(ToString::to_string),
        config,
    })
}

async fn from_files(global: &GlobalArgs, kubeconfig: Kubeconfig) -> Result<kube::Config, Error> {
    if let Some(name) = &global.context {
        known_context(&kubeconfig, name)?;
    } else if kubeconfig
        .current_context
        .as_deref()
        .is_none_or(str::is_empty)
    {
        return Err(Error::Kubeconfig {
            message: "the kubeconfig has no current context".to_owned(),
            hint: contexts_hint(&kubeconfig),
        });
    }
    if let Some(user) = &global.user
        && !kubeconfig
            .auth_infos
            .iter()
            .any(|entry| &entry.name == user)
    {
        return Err(Error::Kubeconfig {
            message: format!("the kubeconfig has no user \"{user}\""),
            hint: "see its users: kubectl config get-users".to_owned(),
        });
    }
    let options = KubeConfigOptions {
        context: global.context.clone(),
        cluster: global.cluster.clone(),
        user: global.user.clone(),
    };
    kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| {
            let message = match &error {
                KubeconfigError::LoadContext(name) => {
                    format!("the kubeconfig's current context \"{name}\" is not in it")
                }
                KubeconfigError::LoadClusterOfContext(name) => {
                    format!("the kubeconfig has no cluster \"{name}\"")
                }
                KubeconfigError::MissingClusterUrl => {
                    "the kubeconfig's cluster has no server".to_owned()
                }
                other => format!("the kubeconfig cannot be used: {}", one_cause(other)),
            };
            Error::Kubeconfig {
                message,
                hint: "see what it says: kubectl config view; choose another with --context or \
                   --kubeconfig"
                    .to_owned(),
            }
        })
}

/// kube's own sentence names the file or the entry, its cause the reason.
fn one_cause(error: &KubeconfigError) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn in_cluster(explicit: Option<&Path>) -> Result<kube::Config, Error> {
    kube::Config::incluster_env().map_err(|_| {
        let tried = files(explicit).unwrap_or_default();
        let tried: Vec<String> = tried
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Error::Kubeconfig {
            message: format!(
                "there is no kubeconfig: {} does not exist",
                tried.join(", ")
            ),
            hint: "name one with --kubeconfig FILE or KUBECONFIG".to_owned(),
        }
    })
}

fn known_context(kubeconfig: &Kubeconfig, name: &str) -> Result<(), Error> {
    let names = || kubeconfig.contexts.iter().map(|entry| entry.name.as_str());
    if names().any(|known| known == name) {
        return Ok(());
    }
    Err(Error::Kubeconfig {
        message: format!("the kubeconfig has no context \"{name}\""),
        hint: suggest::hint(name, names(), || contexts_hint(kubeconfig)),
    })
}

fn contexts_hint(kubeconfig: &Kubeconfig) -> String {
    let names: Vec<&str> = kubeconfig
        .contexts
        .iter()
        .take(10)
        .map(|entry| entry.name.as_str())
        .collect();
    if names.is_empty() {
        "name another kubeconfig with --kubeconfig FILE or KUBECONFIG".to_owned()
    } else {
        format!("choose one with --context: {}", names.join(", "))
    }
}
