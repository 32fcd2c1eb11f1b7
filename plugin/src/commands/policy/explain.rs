//! `policy explain`: what policies say of a namespace, in sentences.

use clap::Args;
use crds::lookup::Namespace;
use crds::v1beta2::ClusterPolicy;
use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};

use crate::commands::policy::cluster_state::{ask_namespace, ask_policies};
use crate::commands::policy::{combined, prose};
use crate::error::Error;
use crate::session::Session;
use crate::suggest;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron policy explain\n\
    \x20 kubectl k0smotron policy explain tenants\n\
    \x20 kubectl k0smotron policy explain --for team-a\n\n\
    With a namespace, by --for or -n, it says which policies hold there and what they allow\n\
    together; with a name as well, whether that one does.")]
pub struct ExplainArgs {
    /// Name of the policy; all of them unless given
    #[arg(value_name = "POLICY", value_parser = crate::flags::object_name)]
    pub name: Option<String>,
    /// Say what holds in this namespace
    #[arg(long = "for", value_name = "NAMESPACE", value_parser = crate::flags::object_name)]
    pub place: Option<String>,
}

/// Says what policies mean.
///
/// # Errors
/// [`Error::NotFound`] for a name that no policy has, or whatever the API server answers.
pub async fn run(session: &Session, args: &ExplainArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let mut policies = ask_policies(&connection).await?;
    policies.sort_by_key(kube::ResourceExt::name_any);
    let place = args.place.as_ref().or(session.global.namespace.as_ref());
    let namespace = match place {
        Some(place) => Some(ask_namespace(&connection, place).await?),
        None => None,
    };
    let text = match (&args.name, namespace) {
        (Some(name), namespace) => {
            let policy = find(&policies, name)?;
            let there = namespace.map(|namespace| {
                let not = if holds(policy, &namespace) {
                    ""
                } else {
                    " not"
                };
                format!("In namespace {} it does{not} hold.\n", namespace.name)
            });
            prose::explain(policy) + &there.unwrap_or_default()
        }
        (None, Some(namespace)) => {
            let there = policies.iter().filter(|policy| holds(policy, &namespace));
            combined::summary(&namespace.name, &there.collect::<Vec<_>>())
        }
        (None, None) if policies.is_empty() => {
            session
                .out
                .note("No policies found: everything is allowed that works.");
            return Ok(());
        }
        (None, None) => {
            let texts: Vec<String> = policies.iter().map(prose::explain).collect();
            texts.join("\n")
        }
    };
    session.out.text(&text)
}

/// A selector that cannot be read selects everything, as the webhook has it.
fn holds(policy: &ClusterPolicy, namespace: &Namespace) -> bool {
    let selector = policy.spec.namespace_selector.clone();
    selector
        .and_then(|selector| Selector::try_from(selector).ok())
        .is_none_or(|selector| selector.matches(&namespace.labels))
}

fn find<'a>(policies: &'a [ClusterPolicy], name: &str) -> Result<&'a ClusterPolicy, Error> {
    let found = policies.iter().find(|policy| policy.name_any() == name);
    found.ok_or_else(|| {
        let names: Vec<String> = policies.iter().map(kube::ResourceExt::name_any).collect();
        Error::NotFound {
            attempt: format!("explain policy {name}"),
            answer: "there is no policy of this name".to_owned(),
            hint: suggest::hint(name, names.iter().map(String::as_str), || {
                "see what is there: kubectl k0smotron policy list".to_owned()
            }),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(name: &str, selector: &Value) -> ClusterPolicy {
        let policy = json!({"metadata": {"name": name}, "spec": {"namespaceSelector": selector}});
        serde_json::from_value(policy).unwrap()
    }

    #[test]
    fn a_policy_holds_where_its_selector_says() {
        let namespace = Namespace {
            name: "team-a".into(),
            labels: [("tenant".to_owned(), "true".to_owned())].into(),
            ..Namespace::default()
        };
        for (selector, there) in [
            (json!(null), true),
            (json!({"matchLabels": {"tenant": "true"}}), true),
            (json!({"matchLabels": {"tenant": "false"}}), false),
            (
                json!({"matchExpressions": [{"key": "tenant", "operator": "DoesNotExist"}]}),
                false,
            ),
        ] {
            assert_eq!(
                holds(&policy("p", &selector), &namespace),
                there,
                "{selector}"
            );
        }
    }

    #[test]
    fn a_slip_in_a_name_is_helped() {
        let policies = [policy("tenants", &json!(null))];
        let error = find(&policies, "tennants").unwrap_err();
        assert_eq!(error.exit().code(), 3);
        assert_eq!(error.hints(), ["did you mean tenants?"]);
        assert!(find(&policies, "tenants").is_ok());
    }
}
