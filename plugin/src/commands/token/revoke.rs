//! `token revoke`: ends join tokens before they expire.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};

use super::state::State;
use crate::error::Error;
use crate::flags::{self, DryRun, DryRunArgs};
use crate::mothership::resources;
use crate::session::Session;
use crate::tokens::{Ending, is_of, revoke, say_begun};
use crate::{duration, prompt, suggest};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron token revoke demo-worker-x7k2p\n\
    \x20 kubectl k0smotron token revoke --all --of demo --yes\n\
    \x20 kubectl k0smotron token revoke --expired --dry-run\n\n\
    Machines that have joined stay: a token is used only once, when a machine joins. It is revoked\n\
    once its request is gone, which may take as long as the hosted cluster does not answer.")]
pub struct RevokeArgs {
    /// Names of the tokens' requests, as token list has them
    #[arg(value_name = "NAME", value_parser = flags::object_name,
        required_unless_present_any = ["all", "expired"],
        conflicts_with_all = ["all", "expired"])]
    pub names: Vec<String>,
    /// Every token of the cluster that --of names
    #[arg(long, requires = "of", conflicts_with = "expired")]
    pub all: bool,
    /// Every token that has expired
    #[arg(long)]
    pub expired: bool,
    /// Only tokens of this cluster
    #[arg(long, value_name = "CLUSTER", value_parser = flags::object_name, conflicts_with = "names")]
    pub of: Option<String>,
    /// Don't ask; nothing is asked either when standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
    /// Whether and how long to wait for the end.
    #[command(flatten)]
    pub end: EndArgs,
    /// Whether it is tried out only.
    #[command(flatten)]
    pub trial: DryRunArgs,
}

#[derive(Debug, Args)]
pub struct EndArgs {
    /// Don't wait until no machine joins with the tokens any more
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait for that; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration::parse,
        conflicts_with = "no_wait")]
    pub timeout: Duration,
}

/// Revokes tokens.
pub async fn run(session: &Session, args: &RevokeArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let place = connection.namespace.clone();
    let api = connection.api(&resources::join_token_requests());
    let attempt = format!("list join tokens in namespace \"{place}\"");
    let parameters = ListParams::default();
    let list = connection.call(&attempt, || api.list(&parameters)).await?;
    let chosen = choose(list.items, args, &place, Timestamp::now())?;
    if chosen.is_empty() {
        session
            .out
            .note(&format!("No such join tokens in namespace \"{place}\"."));
        return Ok(());
    }
    let names: Vec<String> = chosen.iter().map(ResourceExt::name_any).collect();
    let question = format!(
        "Revoke {} in {place} at {}?",
        names.join(", "),
        connection.server
    );
    let unasked = args.yes || args.trial.dry_run != DryRun::None;
    prompt::confirm(session, unasked, &question, "nothing was revoked").await?;
    let look = format!(
        "see what is there: {}",
        session.kubectl("k0smotron token list", &place)
    );
    let (trial, all) = (args.trial.dry_run, chosen.len());
    let waits = trial == DryRun::None && !args.end.no_wait;
    for (done, request) in chosen.iter().enumerate() {
        if trial != DryRun::Client {
            let left = format!("{done} of {all} tokens are being revoked, the next may be");
            session.leaves(left, vec![look.clone()]);
            let begun = revoke(&connection, request, trial == DryRun::Server).await;
            if let Err(error) = begun {
                if waits {
                    say_begun(session, &chosen, done);
                }
                return Err(error);
            }
        }
        if !waits {
            let state = match trial {
                DryRun::None => "is being revoked",
                _ => "revoked",
            };
            told(session, request, &format!("{state}{}", trial.suffix()))?;
        }
    }
    if !waits {
        return Ok(());
    }
    session.leaves(format!("{all} tokens are being revoked"), vec![look]);
    let timeout = flags::timeout(args.end.timeout);
    Ending::new(session, &connection, chosen)
        .wait(timeout, |request| told(session, request, "revoked"))
        .await
}

fn told(session: &Session, request: &DynamicObject, state: &str) -> Result<(), Error> {
    let name = request.name_any();
    session
        .out
        .text(&format!("jointokenrequest.k0smotron.io/{name} {state}\n"))
}

/// The requests that the flags mean; a name that none has is an error before anything is done.
fn choose(
    requests: Vec<DynamicObject>,
    args: &RevokeArgs,
    namespace: &str,
    now: Timestamp,
) -> Result<Vec<DynamicObject>, Error> {
    let known: Vec<String> = requests.iter().map(ResourceExt::name_any).collect();
    if let Some(name) = args.names.iter().find(|name| !known.contains(name)) {
        return Err(Error::NotFound {
            attempt: format!("revoke join token {namespace}/{name}"),
            answer: "there is none of this name".to_owned(),
            hint: suggest::hint(name, known.iter().map(String::as_str), || {
                "see which there are: kubectl k0smotron token list".to_owned()
            }),
        });
    }
    let is_meant = |request: &DynamicObject| {
        if !is_of(request, args.of.as_deref()) {
            return false;
        }
        args.all
            || (args.expired && State::from_request(request, now) == State::Expired)
            || args.names.contains(&request.name_any())
    };
    Ok(requests.into_iter().filter(is_meant).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::mothership::view::tests::object;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RevokeArgs,
    }

    fn read(line: &str) -> Result<RevokeArgs, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.args)
    }

    fn chosen(line: &str) -> Vec<String> {
        chosen_or(line).unwrap()
    }

    #[allow(clippy::unwrap_in_result, reason = "the line is the test's own")]
    fn chosen_or(line: &str) -> Result<Vec<String>, Error> {
        let request = |name: &str, cluster: &str, until: &str| {
            object(
                json!({"metadata": {"name": name}, "spec": {"clusterName": cluster},
                "status": {"expiresAt": until}}),
            )
        };
        let all = vec![
            request("one", "demo", "2026-11-22T11:00:00Z"),
            request("two", "demo", "2026-11-22T09:00:00Z"),
            request("three", "other", "2026-11-22T09:00:00Z"),
        ];
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let chosen = choose(all, &read(line).unwrap(), "team-a", now)?;
        Ok(chosen.iter().map(ResourceExt::name_any).collect())
    }

    #[test]
    fn flags_choose_by_name_by_cluster_or_by_end() {
        assert_eq!(chosen("revoke one three"), ["one", "three"]);
        assert_eq!(chosen("revoke --all --of demo"), ["one", "two"]);
        assert_eq!(chosen("revoke --expired"), ["two", "three"]);
        assert_eq!(chosen("revoke --expired --of demo"), ["two"]);
    }

    #[test]
    fn a_wrong_name_ends_it_before_anything_is_revoked() {
        let error = chosen_or("revoke one thre").unwrap_err();
        assert_eq!(error.hints(), ["did you mean three?"]);
    }

    #[test]
    fn nothing_is_revoked_without_saying_which() {
        for line in ["revoke", "revoke --all", "revoke one --all --of demo"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
