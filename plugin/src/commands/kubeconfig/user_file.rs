//! The user's own kubeconfig, and what comes into it and goes out of it.

use std::path::{Path, PathBuf};

use crate::commands::kubeconfig::KubeconfigArgs;
use crate::error::Error;
use crate::escape::quoted;
use crate::kubeconfig;
use crate::kubeconfig::file::{self, Rewritten};
use crate::kubeconfig::merge::{self, Current};
use crate::kubeconfig::read;
use crate::session::Session;

/// Merges an entry into the user's file.
///
/// # Errors
/// [`Error::Conflict`] when a name in the file is taken.
pub fn merge_into(
    session: &Session,
    args: &KubeconfigArgs,
    owner: &merge::Owner,
    entry: &merge::Entry,
) -> Result<(), Error> {
    let name = &args.entry_name();
    let path = target(session, args, owner)?;
    let others = others(session, &path);
    let is_elsewhere = others.is_none();
    let others = others.unwrap_or_default();
    for other in &others {
        // Which of two entries of one name counts depends on the order of the files.
        if let Err(problem @ merge::Problem::Taken { .. }) =
            merge::merge(&text(other), entry, owner, name, Current::Leave)
        {
            return Err(refused(other, &problem));
        }
    }
    // kubectl looks for the current context in the first file that there is.
    let switched = match kubeconfig::file_to_change(session.global.kubeconfig.as_deref()) {
        Ok(first) if args.switch && !is_elsewhere && first != path => Some(first),
        _ => None,
    };
    let current = if switched.is_some() {
        Current::Leave
    } else if args.switch {
        Current::Switch
    } else if others.iter().any(|other| merge::has_current(&text(other))) {
        // A later file may say it, and this one must not take its place.
        Current::Leave
    } else {
        Current::IfNone
    };
    let what = Brought {
        session,
        entry,
        owner,
        name,
    };
    let is_current = what.goes_into(&path, current)?;
    what.goes_again_into(&others)?;
    if let Some(first) = &switched {
        let switched = file::rewrite(first, |before| {
            let (text, lost_comments) =
                merge::switch(before, name).map_err(|problem| refused(first, &problem))?;
            let keep = lost_comments;
            Ok((text != before).then_some(Rewritten { text, keep }))
        })?;
        if let Some(backup) = switched.and_then(|switched| switched.backup) {
            session.out.note(&format!(
                "Not all comments of {} could be kept; {} has them.",
                first.display(),
                backup.display()
            ));
        }
    }
    let current = if is_elsewhere {
        is_current
    } else {
        kubeconfig::load(session.global.kubeconfig.as_deref())?.current == *name
    };
    session.out.note(&use_it(name, current, args.first_use()));
    Ok(())
}

fn use_it(name: &str, is_current: bool, first_use: &str) -> String {
    let context = if is_current {
        String::new()
    } else {
        format!(" --context {}", quoted(name))
    };
    format!("Use it: kubectl{context} {first_use}")
}

/// What a merge brings into files.
struct Brought<'a> {
    session: &'a Session,
    entry: &'a merge::Entry,
    owner: &'a merge::Owner,
    name: &'a str,
}

impl Brought<'_> {
    /// Whether its context is the current one of the file then.
    fn goes_into(&self, path: &Path, current: Current) -> Result<bool, Error> {
        let mut result = None;
        let changed = file::rewrite(path, |before| {
            let merged = merge::merge(before, self.entry, self.owner, self.name, current)
                .map_err(|problem| refused(path, &problem))?;
            let text = merged.changed.then(|| Rewritten {
                text: merged.text.clone(),
                keep: merged.is_first || merged.lost_comments,
            });
            result = Some(merged);
            Ok(text)
        })?;
        let (out, name) = (&self.session.out, self.name);
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
            out.note("Not all of its comments could be kept; the backup has them.");
        }
        if let Some(merged) = &result
            && !merged.dropped.is_empty()
        {
            out.note(&format!(
                "Dropped what was in its entries and does not come from the cluster: {}.",
                merged.dropped.join(", ")
            ));
        }
        Ok(result.is_some_and(|merged| merged.is_current))
    }

    /// The files that a merge with another KUBECONFIG has brought it into would keep an earlier key.
    fn goes_again_into(&self, others: &[PathBuf]) -> Result<(), Error> {
        for other in having(others.to_vec(), self.owner, Some(self.name)) {
            self.goes_into(&other, Current::Leave)?;
        }
        Ok(())
    }
}

/// The file that has something of this cluster already, else the one that new entries go to.
fn target(
    session: &Session,
    args: &KubeconfigArgs,
    owner: &merge::Owner,
) -> Result<PathBuf, Error> {
    if let Some(path) = &args.output {
        return Ok(path.clone());
    }
    let explicit = session.global.kubeconfig.as_deref();
    let only = args.context_name.as_deref();
    let mut having = having(kubeconfig::files(explicit), owner, only).into_iter();
    match having.next() {
        Some(path) => Ok(path),
        None => kubeconfig::file_to_change(explicit),
    }
}

/// Those of the files that have something of this cluster, under one name or any.
fn having(files: Vec<PathBuf>, owner: &merge::Owner, only: Option<&str>) -> Vec<PathBuf> {
    let has_some = |path: &PathBuf| matches!(merge::remove(&text(path), owner, only), Ok(Some(_)));
    files.into_iter().filter(has_some).collect()
}

/// The other files of KUBECONFIG; none for one that KUBECONFIG does not name.
fn others(session: &Session, path: &Path) -> Option<Vec<PathBuf>> {
    let mut files = kubeconfig::files(session.global.kubeconfig.as_deref());
    let before = files.len();
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    let this = whole(path).ok();
    files.retain(|file| whole(file).ok() != this);
    (files.len() < before).then_some(files)
}

/// A file that cannot be read has nothing in it; who changes one is told why.
fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    read::decode(&bytes).unwrap_or_default()
}

/// Takes what merges have brought out of all of the user's files. Asks nobody: a cluster that is long
/// gone has entries as well.
///
/// # Errors
/// [`Error::Kubeconfig`] when a file cannot be read or written.
pub fn remove_from(
    session: &Session,
    args: &KubeconfigArgs,
    owner: &merge::Owner,
) -> Result<(), Error> {
    let explicit = session.global.kubeconfig.as_deref();
    let only = args.context_name.as_deref();
    let effective = kubeconfig::load(explicit)?.current;
    let files = match &args.output {
        Some(path) => vec![path.clone()],
        None => kubeconfig::files(explicit),
    };
    let mut places = having(files, owner, only);
    if places.is_empty() {
        // Why a file cannot be read is told by who would change it.
        places.push(target(session, args, owner)?);
    }
    remove_from_all(session, &places, owner, only, &effective)
}

/// The same for these files, with the context that is the current one of all together.
fn remove_from_all(
    session: &Session,
    places: &[PathBuf],
    owner: &merge::Owner,
    only: Option<&str>,
    effective: &str,
) -> Result<(), Error> {
    let (mut removed_any, mut was_current) = (false, false);
    for path in places {
        if let Some(removed) = take_out(session, path, owner, only)? {
            removed_any = true;
            was_current |=
                removed.was_current || removed.contexts.iter().any(|name| name == effective);
        }
    }
    let out = &session.out;
    if let (false, Some(path)) = (removed_any, places.first()) {
        out.note(&format!(
            "{} has nothing of cluster {}/{}.",
            path.display(),
            owner.namespace,
            owner.cluster
        ));
    }
    if was_current {
        out.note("It was the current context; choose another: kubectl config use-context NAME");
    }
    Ok(())
}

fn take_out(
    session: &Session,
    path: &Path,
    owner: &merge::Owner,
    only: Option<&str>,
) -> Result<Option<merge::Removed>, Error> {
    let mut result = None;
    let changed = file::rewrite(path, |before| {
        let removed =
            merge::remove(before, owner, only).map_err(|problem| refused(path, &problem))?;
        let text = removed.as_ref().map(|removed| Rewritten {
            text: removed.text.clone(),
            keep: removed.lost_comments,
        });
        result = removed;
        Ok(text)
    })?;
    if let Some(changed) = changed {
        session.out.note(&format!(
            "Removed what --merge brought of cluster {}/{} from {}.",
            owner.namespace,
            owner.cluster,
            changed.path.display()
        ));
        if let Some(backup) = &changed.backup {
            session.out.note(&format!(
                "Not all of its comments could be kept. {} has them, and what was removed: \
                 delete it when you have them.",
                backup.display()
            ));
        }
    }
    Ok(result)
}

fn refused(path: &Path, problem: &merge::Problem) -> Error {
    match problem {
        merge::Problem::Taken { .. } => Error::Conflict {
            attempt: format!("merge into {}", path.display()),
            answer: problem.to_string(),
            hint: "choose another name with --context-name; nothing was changed".to_owned(),
        },
        merge::Problem::Unusable(_) | merge::Problem::Forbidden { .. } => Error::Kubeconfig {
            message: format!("cannot change {}: {problem}", path.display()),
            hint: "repair the file, or write to another with --output FILE".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
