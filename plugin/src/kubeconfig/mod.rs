//! Which kubeconfig is used, and what it says; kubectl's rules.

pub mod access;
mod credential;
pub mod file;
mod kuberc;
pub mod merge;
pub mod proxy;
pub mod read;

use std::io;
use std::path::{Path, PathBuf};

use crds::names;
use http::Uri;
use serde_saphyr::{SnippetMode, UserMessageFormatter};

use crate::error::{Error, innermost};
use crate::flags::GlobalArgs;
use crate::{escape, suggest};

pub use self::access::Access;
use self::read::{Cluster, Context, Kubeconfig, User, find};

/// Where every pod finds its own namespace and token.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the user's kubeconfig says about the mothership.
pub struct Mothership {
    pub access: Access,
    /// The namespace in which names are looked for.
    pub namespace: String,
}

/// Files that are read, in the order of their weight; none where nothing says which.
pub fn files(explicit: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return std::env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
    }
    let folder = folder().into_iter();
    folder.map(|folder| folder.join("config")).collect()
}

/// Where kubectl keeps what is the user's own.
fn folder() -> Option<PathBuf> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    home.map(|home| home.join(".kube"))
}

/// The file that a new entry goes to: the first that exists, else the last named.
pub fn file_to_change(explicit: Option<&Path>) -> Result<PathBuf, Error> {
    let files = files(explicit);
    let existing = files
        .iter()
        .find(|path| path.exists())
        .or_else(|| files.last());
    existing.cloned().ok_or_else(|| Error::Kubeconfig {
        message: "there is no kubeconfig to write to".to_owned(),
        hint: NAME_ONE.to_owned(),
    })
}

const NAME_ONE: &str = "name one with --kubeconfig FILE or KUBECONFIG";

/// Reads and merges the user's kubeconfig files; an empty one when no file is there.
///
/// # Errors
/// [`Error::Kubeconfig`] when one cannot be read or is no kubeconfig, or when the one that was
/// named by a flag is not there.
pub fn load(explicit: Option<&Path>) -> Result<Kubeconfig, Error> {
    let mut merged = Kubeconfig::default();
    for path in files(explicit) {
        let shown = path.display();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound && explicit.is_none() => {
                continue;
            }
            Err(source) => {
                return Err(Error::Kubeconfig {
                    message: format!("cannot read the kubeconfig {shown}: {}", innermost(&source)),
                    hint: "name another with --kubeconfig FILE or KUBECONFIG".to_owned(),
                });
            }
        };
        let whole = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let folder = whole.parent().unwrap_or_else(|| Path::new("/"));
        let read = read::decode(&bytes)
            .and_then(|text| Kubeconfig::new(&read::tree(&text)?, folder))
            .map_err(|why| Error::Kubeconfig {
                message: format!("{shown} is not a kubeconfig: {why}"),
                hint: "repair the file, or name another with --kubeconfig FILE or KUBECONFIG"
                    .to_owned(),
            })?;
        merged.and(read);
    }
    Ok(merged)
}

/// What the parser says and where, without the picture of the place, which could show a credential,
/// and without its advice to programmers.
pub fn parse_message(error: &serde_saphyr::Error) -> String {
    let options = serde_saphyr::render_options! {
        formatter: &UserMessageFormatter,
        snippets: SnippetMode::Off,
    };
    let said = error.render_with_options(options);
    said.lines().next().unwrap_or_default().to_owned()
}

/// The namespace by flag, by the context or by the pod that this runs in, without any request;
/// `default` when none of them says.
pub fn namespace(global: &GlobalArgs) -> Result<String, Error> {
    let kubeconfig = load(global.kubeconfig.as_deref())?;
    Chosen::of(&kubeconfig, global)?.namespace(global)
}

/// The namespace, and the mothership's address, for what asks nobody: who the user is does not
/// matter, and no program is asked for it.
///
/// # Errors
/// As [`mothership`].
pub fn place(global: &GlobalArgs) -> Result<(String, String), Error> {
    let kubeconfig = load(global.kubeconfig.as_deref())?;
    let chosen = Chosen::of(&kubeconfig, global)?;
    let server = if chosen.is_pod() {
        access::pod()?.cluster_url
    } else {
        chosen.check(&kubeconfig, global)?;
        access::address(&chosen.cluster.server)?
    };
    Ok((chosen.namespace(global)?, shown(&server)))
}

/// An API server's address as it is shown and noted.
pub fn shown(server: &Uri) -> String {
    server.to_string().trim_end_matches('/').to_owned()
}

/// Everything needed to talk to the mothership; no request is made.
///
/// # Errors
/// [`Error::Kubeconfig`] for a missing, unreadable or contradictory kubeconfig.
pub async fn mothership(global: &GlobalArgs) -> Result<Mothership, Error> {
    let kubeconfig = load(global.kubeconfig.as_deref())?;
    let chosen = Chosen::of(&kubeconfig, global)?;
    let namespace = chosen.namespace(global)?;
    let access = if chosen.is_pod() {
        let named = global.user.is_some() || global.token.is_some();
        Access::in_cluster(&chosen.user, named).await?
    } else {
        chosen.check(&kubeconfig, global)?;
        Access::new(&chosen.cluster, &chosen.user).await?
    };
    Ok(Mothership { access, namespace })
}

/// The way to the cluster of a kubeconfig that names one, whatever the flags say.
pub async fn only(kubeconfig: &Kubeconfig) -> Result<Access, Error> {
    let chosen = Chosen::of(kubeconfig, &GlobalArgs::default())?;
    Access::new(&chosen.cluster, &chosen.user).await
}

/// What a context and the flags come to.
struct Chosen {
    context: Context,
    cluster: Cluster,
    user: User,
}

impl Chosen {
    fn of(kubeconfig: &Kubeconfig, global: &GlobalArgs) -> Result<Self, Error> {
        let current = &kubeconfig.current;
        let name = global.context.as_ref().unwrap_or(current);
        let context = match find(&kubeconfig.contexts, name) {
            Some(context) => context.clone(),
            None if global.context.is_some() => return Err(no_context(kubeconfig, name)),
            None if current.is_empty() => Context::default(),
            None => {
                return Err(Error::Kubeconfig {
                    message: format!("the kubeconfig's current context \"{name}\" is not in it"),
                    hint: contexts_hint(kubeconfig),
                });
            }
        };
        let missing = |kind: &str, name: &str| Error::Kubeconfig {
            message: format!("the kubeconfig has no {kind} \"{name}\""),
            hint: format!("see its {kind}s: kubectl config get-{kind}s"),
        };
        let named = global.cluster.as_ref();
        let cluster = find(&kubeconfig.clusters, named.unwrap_or(&context.cluster));
        if let (Some(name), None) = (named, cluster) {
            return Err(missing("cluster", name));
        }
        let named = global.user.as_ref();
        let user = find(&kubeconfig.users, named.unwrap_or(&context.user));
        if let (Some(name), None) = (named, user) {
            return Err(missing("user", name));
        }
        let mut cluster = cluster.cloned().unwrap_or_default();
        let mut user = user.cloned().unwrap_or_default();
        amend(global, &mut cluster, &mut user);
        Ok(Self {
            context,
            cluster,
            user,
        })
    }

    /// Whether nothing is said of a cluster, and this runs in one.
    fn is_pod(&self) -> bool {
        let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        self.cluster == Cluster::default()
            && is_set("KUBERNETES_SERVICE_HOST")
            && is_set("KUBERNETES_SERVICE_PORT")
            && Path::new(POD).join("token").is_file()
    }

    fn namespace(&self, global: &GlobalArgs) -> Result<String, Error> {
        if let Some(flag) = &global.namespace {
            return Ok(flag.clone());
        }
        let given = |text: String| Some(text.trim().to_owned()).filter(|name| !name.is_empty());
        let of_pod = || {
            let set = std::env::var("POD_NAMESPACE").ok().and_then(given);
            let written = || std::fs::read_to_string(Path::new(POD).join("namespace")).ok();
            set.or_else(|| given(written()?))
        };
        if let Some(context) = given(self.context.namespace.clone()) {
            return named("context", context);
        }
        match self.is_pod().then(of_pod).flatten() {
            Some(pod) => named("pod", pod),
            None => Ok("default".to_owned()),
        }
    }

    /// Says what is missing where no cluster is named.
    fn check(&self, kubeconfig: &Kubeconfig, global: &GlobalArgs) -> Result<(), Error> {
        if !self.cluster.server.is_empty() {
            return Ok(());
        }
        let tried = files(global.kubeconfig.as_deref());
        let (message, hint) = if !tried.iter().any(|path| path.exists()) {
            let tried: Vec<String> = tried
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let why = match tried.as_slice() {
                [] => "neither KUBECONFIG nor HOME names one".to_owned(),
                tried => format!("{} does not exist", tried.join(", ")),
            };
            (
                format!("there is no kubeconfig: {why}"),
                NAME_ONE.to_owned(),
            )
        } else if self.context == Context::default() && self.cluster == Cluster::default() {
            let message = "the kubeconfig has no current context".to_owned();
            (message, contexts_hint(kubeconfig))
        } else {
            let name = global.cluster.as_ref().unwrap_or(&self.context.cluster);
            let message = match find(&kubeconfig.clusters, name) {
                Some(_) => "the kubeconfig's cluster has no server".to_owned(),
                None => format!("the kubeconfig has no cluster \"{name}\""),
            };
            (message, contexts_hint(kubeconfig))
        };
        Err(Error::Kubeconfig { message, hint })
    }
}

/// A namespace that nobody has checked yet: it becomes a part of addresses.
fn named(whose: &str, namespace: String) -> Result<String, Error> {
    if names::is_object_name(&namespace) {
        return Ok(namespace);
    }
    Err(Error::Kubeconfig {
        message: format!(
            "the {whose}'s namespace \"{}\" must be the name of a namespace",
            escape::line(&namespace)
        ),
        hint: "name another with -n".to_owned(),
    })
}

/// Puts what the flags say over what the kubeconfig does, as kubectl has it.
fn amend(global: &GlobalArgs, cluster: &mut Cluster, user: &mut User) {
    if let Some(server) = &global.server {
        cluster.server.clone_from(server);
        cluster.tls_server_name.clear();
    }
    if let Some(name) = &global.tls_server_name {
        cluster.tls_server_name.clone_from(name);
    }
    if global.insecure_skip_tls_verify || global.certificate_authority.is_some() {
        cluster.insecure_skip_tls_verify = global.insecure_skip_tls_verify;
        cluster.certificate_authority = global.certificate_authority.clone().unwrap_or_default();
        cluster.certificate_authority_data.clear();
    }
    if let Some(token) = &global.token {
        user.token.clone_from(token);
        user.token_file.clear();
    }
    if let Some(whom) = &global.impersonate {
        user.impersonate.clone_from(whom);
    }
    if let Some(uid) = &global.impersonate_uid {
        user.as_uid.clone_from(uid);
    }
    if !global.impersonate_groups.is_empty() {
        user.as_groups.clone_from(&global.impersonate_groups);
    }
}

fn no_context(kubeconfig: &Kubeconfig, name: &str) -> Error {
    let names = kubeconfig.contexts.iter().map(|(name, _)| name.as_str());
    Error::Kubeconfig {
        message: format!("the kubeconfig has no context \"{name}\""),
        hint: suggest::hint(name, names, || contexts_hint(kubeconfig)),
    }
}

fn contexts_hint(kubeconfig: &Kubeconfig) -> String {
    let names: Vec<&str> = kubeconfig
        .contexts
        .iter()
        .take(10)
        .map(|(name, _)| name.as_str())
        .collect();
    if names.is_empty() {
        "name another kubeconfig with --kubeconfig FILE or KUBECONFIG".to_owned()
    } else {
        format!("choose one with --context: {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_would_be_another_address_is_used_by_nobody() {
        let text = "current-context: c\ncontexts: [{name: c, context: {namespace: a/../b}}]";
        let kubeconfig = Kubeconfig::new(&read::tree(text).unwrap(), Path::new("/")).unwrap();
        let namespace = |global: &GlobalArgs| {
            let chosen = Chosen::of(&kubeconfig, global).unwrap();
            chosen.namespace(global)
        };
        let refused = namespace(&GlobalArgs::default()).unwrap_err().to_string();
        assert!(refused.contains("the context's namespace \"a/../b\""));
        let flag = GlobalArgs {
            namespace: Some("team-a".to_owned()),
            ..GlobalArgs::default()
        };
        assert_eq!(namespace(&flag).unwrap(), "team-a");
        assert!(named("pod", "a/../b".to_owned()).is_err());
        assert_eq!(named("pod", "team-a".to_owned()).unwrap(), "team-a");
    }
}
