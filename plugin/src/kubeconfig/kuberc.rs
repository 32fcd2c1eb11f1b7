//! Which programs may bring credentials. It is in a file of kubectl's own, beside the kubeconfig:
//! whoever sends somebody a kubeconfig chooses the program, and not whether it is run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, innermost};
use crate::escape;
use crate::kubeconfig::{self, read};

const VERSIONS: [&str; 2] = [
    "kubectl.config.k8s.io/v1beta1",
    "kubectl.config.k8s.io/v1alpha1",
];

/// What a kuberc says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Policy {
    AllowAll,
    DenyAll,
    /// Words that PATH has, and paths.
    Allowlist(Vec<String>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// How kubectl 1.35 spells it.
    name: Option<String>,
    command: Option<String>,
}

/// Says no to a program that the user's kuberc keeps from being run. `found` is where it is, if
/// anywhere.
///
/// # Errors
/// [`Error::Kubeconfig`] for such a program, and for any where it cannot be known.
pub fn check(command: &str, found: Option<&Path>) -> Result<(), Error> {
    let file = file(|name| std::env::var_os(name), kubeconfig::folder());
    let Some((file, is_named)) = file else {
        return Ok(());
    };
    check_by(&file, is_named, command, found)
}

fn check_by(file: &Path, is_named: bool, command: &str, found: Option<&Path>) -> Result<(), Error> {
    let shown = file.display();
    let policy = match fs::read(file) {
        Ok(bytes) => read::decode(&bytes)
            .and_then(|text| Policy::new(&text))
            .map_err(|why| format!("{shown}: {why}")),
        Err(source) if source.kind() == io::ErrorKind::NotFound && !is_named => return Ok(()),
        Err(source) => Err(format!("cannot read {shown}: {}", innermost(&source))),
    };
    let policy = policy.map_err(|why| Error::Kubeconfig {
        message: format!("it cannot be known whether credential plugins may run: {why}"),
        hint: "repair the file, or go without it: set KUBERC=off".to_owned(),
    })?;
    let whole = clean(command);
    let why = match &policy {
        _ if policy.allows(&whole, found, &path()) => return Ok(()),
        Policy::Allowlist(_) => {
            format!("the credentialPluginAllowlist of {shown} does not name it")
        }
        _ => format!("credentialPluginPolicy is DenyAll in {shown}"),
    };
    let program = found.unwrap_or(&whole).display().to_string();
    Err(Error::Kubeconfig {
        message: format!(
            "the credential plugin {} may not be run: {why}",
            escape::line(&program)
        ),
        hint: "kubectl does not run it either: allow it there if you trust it, or use another \
               --context"
            .to_owned(),
    })
}

/// Where a program is, as Go finds it: a word in the folders of PATH, whatever the program itself
/// is to have for PATH.
///
/// # Errors
/// When PATH does not have it, or has it only from the current folder on.
pub fn located(command: &str) -> io::Result<PathBuf> {
    located_in(&clean(command), &path())
}

fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn located_in(command: &Path, path: &OsStr) -> io::Result<PathBuf> {
    if command.components().count() > 1 || command.is_absolute() {
        return Ok(command.to_owned());
    }
    let is_program = |file: &PathBuf| {
        fs::metadata(file)
            .is_ok_and(|found| !found.is_dir() && found.permissions().mode() & 0o111 != 0)
    };
    let mut places = std::env::split_paths(path).map(|folder| folder.join(command));
    let found = places.find(is_program);
    found
        .filter(|file| file.is_absolute())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is not in PATH"))
}

/// The file that says it, and whether somebody has named it.
fn file(
    variable: impl Fn(&str) -> Option<OsString>,
    folder: Option<PathBuf>,
) -> Option<(PathBuf, bool)> {
    let is_off =
        variable("KUBECTL_KUBERC").is_some_and(|value| value.eq_ignore_ascii_case("false"));
    match variable("KUBERC").filter(|value| !value.is_empty()) {
        _ if is_off => None,
        Some(value) if value == "off" => None,
        Some(value) => Some((value.into(), true)),
        None => Some((folder?.join("kuberc"), false)),
    }
}

impl Policy {
    /// What the first document says that kubectl would take; one with nothing in it forbids nothing.
    fn new(text: &str) -> Result<Self, String> {
        let mut bytes = text.as_bytes();
        let mut is_empty = true;
        for document in read::documents(&mut bytes) {
            let document = document?;
            let is = |key: &str, known: &[&str]| {
                let found = document.get(key).and_then(Value::as_str);
                found.is_some_and(|found| known.contains(&found))
            };
            if is("kind", &["Preference"]) && is("apiVersion", &VERSIONS) {
                return Self::of(&document);
            }
            is_empty &= document.is_null();
        }
        if is_empty {
            Ok(Self::AllowAll)
        } else {
            Err(format!("it has no Preference of {}", VERSIONS.join(" or ")))
        }
    }

    fn of(document: &Value) -> Result<Self, String> {
        let policy: Option<String> = read::part(document, "credentialPluginPolicy")?;
        let list: Option<Vec<Option<Entry>>> = read::part(document, "credentialPluginAllowlist")?;
        match (policy.as_deref().unwrap_or_default(), list) {
            ("" | "AllowAll", None) => Ok(Self::AllowAll),
            ("DenyAll", None) => Ok(Self::DenyAll),
            ("" | "AllowAll" | "DenyAll", Some(_)) => Err(
                "credentialPluginAllowlist means nothing unless credentialPluginPolicy is Allowlist"
                    .to_owned(),
            ),
            ("Allowlist", list) => {
                let list = list.unwrap_or_default();
                if list.is_empty() {
                    return Err("credentialPluginAllowlist must name a program".to_owned());
                }
                let entries = list.into_iter().enumerate();
                let entries = entries.map(|(index, entry)| {
                    let command = entry.unwrap_or_default().command();
                    command.map_err(|why| format!("credentialPluginAllowlist[{index}] {why}"))
                });
                entries.collect::<Result<_, _>>().map(Self::Allowlist)
            }
            _ => Err("credentialPluginPolicy must be AllowAll, DenyAll or Allowlist".to_owned()),
        }
    }

    /// Whether a command may run that is in this place.
    fn allows(&self, command: &Path, found: Option<&Path>, path: &OsStr) -> bool {
        match self {
            Self::AllowAll => true,
            Self::DenyAll => false,
            Self::Allowlist(entries) => entries.iter().map(Path::new).any(|entry| {
                let is_found = || {
                    let place = located_in(entry, path).ok();
                    place.is_some() && place.as_deref() == found
                };
                entry == command || is_found()
            }),
        }
    }
}

impl Entry {
    fn command(self) -> Result<String, String> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let command = match (given(self.command), given(self.name)) {
            (Some(command), Some(name)) if command != name => {
                return Err("must have a command or a name, not both".to_owned());
            }
            (command, name) => command.or(name).ok_or("must have a command")?,
        };
        let whole = clean(&command);
        if whole.as_os_str() != command.as_str() {
            let whole = whole.display().to_string();
            return Err(format!("must be written {}", escape::line(&whole)));
        }
        Ok(command)
    }
}

/// A path without detours, as Go's `filepath.Clean` has it.
fn clean(path: &str) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if whole.file_name().is_some() => {
                whole.pop();
            }
            Component::ParentDir if whole.has_root() => {}
            part => whole.push(part),
        }
    }
    if whole.as_os_str().is_empty() {
        whole.push(".");
    }
    whole
}

#[cfg(test)]
mod tests;
