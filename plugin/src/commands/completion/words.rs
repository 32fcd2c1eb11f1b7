//! What the word being typed can be: from the words before it and the definition of the command
//! line. Pure.
//!
//! `clap_complete`'s dynamic engine tells a completer the word that is typed and none before it: names
//! would be those of another namespace or mothership than the line's.

use clap::{Arg, ArgAction, Command, FromArgMatches as _};

use crate::flags::GlobalArgs;

/// What is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// One of these; each with what it means.
    These(Vec<(String, String)>),
    Clusters,
    Requests,
    Namespaces,
    Policies,
    Contexts,
    Versions,
    /// A file, or something that nobody here knows.
    Files,
}

/// The global flags among the words, as far as they are complete, and what the last word is, behind
/// the `--flag=` that it may begin with.
pub fn wanted(mut root: Command, words: &[String]) -> (GlobalArgs, Wanted) {
    root.build();
    let (typed, before) = words
        .split_last()
        .map_or(("", words), |(typed, before)| (typed.as_str(), before));
    let mut command = &root;
    let mut pending: Option<&Arg> = None;
    let mut positionals = 0;
    let mut is_over = false;
    for word in before {
        if pending.take().is_some() {
            continue;
        }
        if is_over {
            continue;
        }
        if word == "--" {
            is_over = true;
        } else if let Some(flag) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            pending = flag_of(command, flag).filter(|arg| takes_word(arg) && !has_value(flag));
        } else if let Some(next) = command.find_subcommand(word) {
            command = next;
            positionals = 0;
        } else {
            positionals += 1;
        }
    }
    let global = globals(before);
    let wanted = match pending {
        Some(arg) => values(arg),
        None if is_over => Wanted::Files,
        None if typed.starts_with('-') => match typed.split_once('=') {
            Some((flag, _)) => {
                flag_of(command, flag.get(1..).unwrap_or_default()).map_or(Wanted::Files, values)
            }
            None => flags(command),
        },
        None if command.has_subcommands() => subcommands(command),
        None => positional(command, positionals),
    };
    (global, wanted)
}

/// The flags that lead to the mothership; a line that is not complete yet is no error.
fn globals(before: &[String]) -> GlobalArgs {
    let command = <GlobalArgs as clap::Args>::augment_args(Command::new("k")).ignore_errors(true);
    let words = std::iter::once("k".to_owned()).chain(flags_only(before));
    command
        .try_get_matches_from(words)
        .ok()
        .and_then(|matches| GlobalArgs::from_arg_matches(&matches).ok())
        .unwrap_or_default()
}

/// Only the global flags and their values.
fn flags_only(before: &[String]) -> Vec<String> {
    let command = <GlobalArgs as clap::Args>::augment_args(Command::new("k"));
    let mut kept = Vec::new();
    let mut words = before.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix('-') else {
            continue;
        };
        let Some(arg) = flag_of(&command, flag) else {
            continue;
        };
        kept.push(word.clone());
        if takes_word(arg) && !has_value(flag) {
            kept.extend(words.next().cloned());
        }
    }
    kept
}

/// The flag of `-n`, `-nteam` or `--namespace=team`, without its first dash.
fn flag_of<'a>(command: &'a Command, text: &str) -> Option<&'a Arg> {
    let long = text
        .strip_prefix('-')
        .or_else(|| (text.len() > 1).then_some(text));
    let name = long.and_then(|long| long.split('=').next());
    command.get_arguments().find(|arg| {
        let by_short = arg.get_short().is_some() && arg.get_short() == text.chars().next();
        match (text.starts_with('-'), name) {
            (true, Some(name)) => arg.get_long() == Some(name),
            (false, Some(name)) => arg.get_long() == Some(name) || by_short,
            (_, None) => by_short,
        }
    })
}

/// Whether its value is the next word.
fn takes_word(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && !arg.is_require_equals_set()
}

/// Whether a flag without its first dash has its value in the same word, as `-nteam` has.
fn has_value(flag: &str) -> bool {
    flag.contains('=') || (!flag.starts_with('-') && flag.chars().count() > 1)
}

fn help(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn flags(command: &Command) -> Wanted {
    let all = command.get_arguments().filter(|arg| !arg.is_hide_set());
    Wanted::These(
        all.filter_map(|arg| Some((format!("--{}", arg.get_long()?), help(arg.get_help()))))
            .collect(),
    )
}

fn subcommands(command: &Command) -> Wanted {
    let all = command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set());
    Wanted::These(
        all.map(|inner| (inner.get_name().to_owned(), help(inner.get_about())))
            .collect(),
    )
}

fn positional(command: &Command, before: usize) -> Wanted {
    let all: Vec<&Arg> = command
        .get_positionals()
        .filter(|arg| !arg.is_last_set())
        .collect();
    let last = all.last().filter(|arg| {
        arg.get_num_args()
            .is_some_and(|range| range.max_values() > 1)
    });
    match all.get(before).or(last) {
        // A new name is nobody's to complete.
        Some(_) if command.get_name() == "create" => Wanted::These(Vec::new()),
        Some(arg) => values(arg),
        None => Wanted::These(Vec::new()),
    }
}

/// The values of a flag or word: what the definition lists, else what its name stands for.
fn values(arg: &Arg) -> Wanted {
    let listed = arg.get_possible_values();
    if !listed.is_empty() {
        let shown = listed.iter().filter(|value| !value.is_hide_set());
        return Wanted::These(
            shown
                .map(|value| (value.get_name().to_owned(), help(value.get_help())))
                .collect(),
        );
    }
    let name = arg
        .get_value_names()
        .and_then(|names| names.first())
        .map(ToString::to_string);
    match (arg.get_id().as_str(), name.as_deref()) {
        ("namespace", _) | (_, Some("NAMESPACE")) => Wanted::Namespaces,
        ("context", _) => Wanted::Contexts,
        (_, Some("VERSION")) => Wanted::Versions,
        (_, Some("REQUEST")) => Wanted::Requests,
        (_, Some("POLICY")) => Wanted::Policies,
        (_, Some("NAME")) if arg.is_positional() => Wanted::Clusters,
        (_, Some("WHAT")) => Wanted::These(
            ["available", "upgraded", "scaled", "deleted", "nodes="]
                .map(|word| (word.to_owned(), String::new()))
                .to_vec(),
        ),
        (_, Some("FILE" | "FOLDER" | "DIRECTORY")) => Wanted::Files,
        _ => Wanted::These(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn found(line: &str) -> Wanted {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        wanted(Cli::command(), &words).1
    }

    fn names(line: &str) -> Vec<String> {
        match found(line) {
            Wanted::These(found) => found.into_iter().map(|(word, _)| word).collect(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn commands_flags_and_values_come_from_the_definition() {
        assert!(names("").contains(&"create".to_owned()));
        assert!(names("policy ").contains(&"test".to_owned()));
        assert!(names("create demo --").contains(&"--service".to_owned()));
        assert!(names("list --").contains(&"--namespace".to_owned()));
        assert_eq!(names("create demo --service ").len(), 3);
        assert!(names("create demo --dry-run=").contains(&"server".to_owned()));
    }

    #[test]
    fn names_are_asked_for_where_they_belong() {
        for (line, expected) in [
            ("status ", Wanted::Clusters),
            ("-n team status d", Wanted::Clusters),
            ("status demo -n ", Wanted::Namespaces),
            ("list --context ", Wanted::Contexts),
            ("-nteam status d", Wanted::Clusters),
            ("--namespace=team status d", Wanted::Clusters),
            ("list --namespace=", Wanted::Namespaces),
            ("upgrade demo --to ", Wanted::Versions),
            ("upgrade demo --to=v1", Wanted::Versions),
            ("policy explain ", Wanted::Policies),
            ("policy explain --for ", Wanted::Namespaces),
            ("create --from ", Wanted::Files),
            ("exec demo -- kubectl ", Wanted::Files),
            ("create ", Wanted::These(Vec::new())),
            ("status demo ", Wanted::These(Vec::new())),
        ] {
            assert_eq!(found(line), expected, "{line}");
        }
    }

    #[test]
    fn the_mothership_is_the_one_that_the_words_lead_to() {
        let words = [
            "-n",
            "team",
            "status",
            "--kubeconfig=/k",
            "--context",
            "prod",
            "d",
        ];
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let (global, _) = wanted(Cli::command(), &words);
        assert_eq!(global.namespace.as_deref(), Some("team"));
        assert_eq!(global.context.as_deref(), Some("prod"));
        assert_eq!(
            global.kubeconfig.as_deref(),
            Some(std::path::Path::new("/k"))
        );
    }
}
