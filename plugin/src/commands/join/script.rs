//! How a machine joins: one POSIX script, which every form carries as it is.
//!
//! Only the assignments at its top differ. Each is a word in single quotes, so nothing that a
//! person types becomes a part of the program.

use super::{JoinArgs, registration};
use crate::error::Error;
use crate::tokens::{JoinToken, Role};

/// The part that is the same everywhere.
const BODY: &str = include_str!("join.sh");

/// Where k0s is published, beside a list of sums.
const RELEASES: &str =
    "https://github.com/k0sproject/k0s/releases/download/{version}/k0s-{version}-{arch}";

/// How the machine gets k0s, and what k0s is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// Address of the program, with `{version}` and `{arch}`.
    pub download_url: Option<String>,
    /// SHA-256 sums of the program, a machine's kind each; none for the release's own.
    pub sums: Vec<String>,
    /// Path of the program on the machine; `-` is the script's standard input.
    pub binary: Option<String>,
    /// How many bytes come on standard input, when that is known.
    pub size: Option<u64>,
    pub arguments: Vec<String>,
    /// What runs in place of `k0s install` and `k0s start`.
    pub start_command: Option<String>,
    /// k0s takes the script's place rather than become a service.
    pub foreground: bool,
    pub root: String,
    /// Where the script is kept for whoever runs it until it has worked.
    pub kept: Option<String>,
    /// Nobody looks: k0s is installed even while the cluster's API does not answer.
    pub unattended: bool,
}

impl Setup {
    /// What the flags ask for.
    ///
    /// # Errors
    /// [`Error::Usage`] when they do not go together.
    pub fn from_args(args: &JoinArgs) -> Result<Self, Error> {
        let mut arguments = Vec::new();
        for (flag, value) in [("--labels", &args.labels), ("--taints", &args.taints)] {
            if !value.is_empty() {
                arguments.extend([flag.to_owned(), value.join(",")]);
            }
        }
        if let Some(line) = &args.worker_args {
            arguments.extend(words(line).map_err(|message| Error::Usage {
                message,
                hint:
                    "quote it as a shell wants it: --worker-args '--profile \"my own\"'".to_owned(),
            })?);
        }
        registration::check(&arguments)?;
        if args.request.role == Role::Controller && !arguments.is_empty() {
            return Err(Error::Usage {
                message: "--labels, --taints and --worker-args are a worker's".to_owned(),
                hint: "leave them out, or leave --role controller out".to_owned(),
            });
        }
        if let (Some(url), []) = (&args.download_url, args.k0s_sha256.as_slice()) {
            return Err(Error::Usage {
                message: format!(
                    "--k0s-sha256 is required: whoever answers for {url} would be root on the machine"
                ),
                hint:
                    "name the program's SHA-256 sum; those of a release are in its sha256sums.txt"
                        .to_owned(),
            });
        }
        Ok(Self {
            download_url: args.download_url.clone(),
            sums: args.k0s_sha256.clone(),
            binary: args
                .k0s_binary
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
            size: None,
            arguments,
            start_command: args.start_command.clone(),
            foreground: args.foreground,
            root: String::new(),
            kept: None,
            unattended: false,
        })
    }
}

/// The words of a line as a shell would split it.
fn words(line: &str) -> Result<Vec<String>, String> {
    shell_words::split(line).map_err(|error| format!("--worker-args cannot be read: {error}"))
}

/// A text without control characters: those have no place in a line for k0s, nor in YAML.
pub fn plain(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("must be text on one line".to_owned());
    }
    Ok(text.to_owned())
}

/// The whole script.
///
/// # Errors
/// [`Error::Usage`] when it is not known which version the machine needs.
pub fn script(token: &JoinToken, setup: &Setup) -> Result<String, Error> {
    let version = token.version.as_deref().ok_or_else(|| Error::Usage {
        message: format!(
            "it is not known which k0s version cluster {}/{} runs",
            token.namespace, token.cluster
        ),
        hint: "name it with --k0s-version".to_owned(),
    })?;
    let assignments: String = [
        ("root", setup.root.as_str()),
        ("cluster", &token.cluster),
        ("role", token.role.name()),
        ("version", version),
        (
            "download_url",
            setup.download_url.as_deref().unwrap_or(RELEASES),
        ),
        ("sha256", &setup.sums.join(" ")),
        ("binary", setup.binary.as_deref().unwrap_or_default()),
        (
            "start_command",
            setup.start_command.as_deref().unwrap_or_default(),
        ),
        ("foreground", if setup.foreground { "yes" } else { "" }),
        ("kept", setup.kept.as_deref().unwrap_or_default()),
        ("unattended", if setup.unattended { "yes" } else { "" }),
        ("token", &token.token),
    ]
    .map(|(name, value)| format!("{name}={}\n", quoted(value)))
    .concat();
    let size = setup.size.map(|size| format!("size={size}\n"));
    let assignments = assignments + &size.unwrap_or_default();
    let call: Vec<String> = std::iter::once("main".to_owned())
        .chain(setup.arguments.iter().map(|word| quoted(word)))
        .collect();
    Ok(format!(
        "#!/bin/sh\n\
         # Makes this machine a {role} of cluster {namespace}/{cluster}.\n\
         # Holds a secret that is good {until}.\n\
         set -eu\n\n\
         {assignments}\n\
         {BODY}\n\
         {call}\n",
        role = token.role.name(),
        namespace = token.namespace,
        cluster = token.cluster,
        until = token.until(),
        call = call.join(" "),
    ))
}

/// One word for a shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
pub(super) mod tests;
