//! `policy list`: policies with their rules and violations counted.

use clap::Args;
use crds::policy::read_policy;
use crds::v1beta2::PolicyAction;
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use crate::commands::policy::phrases;
use crate::duration;
use crate::error::Error;
use crate::mothership::{resources, view};
use crate::output::Style;
use crate::output::table::{Cell, Table};
use crate::print::{self, PrintArgs};
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron policy list\n\
    \x20 kubectl k0smotron policy list -o wide\n\n\
    NAMESPACES are those with these labels; RULES counts each field that bounds something and each\n\
    free rule; VIOLATIONS are existing objects that break it, whatever its mode.")]
pub struct ListArgs {
    /// Only policies with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// How it is printed.
    #[command(flatten)]
    pub print: PrintArgs,
}

/// Lists policies.
pub async fn run(session: &Session, args: &ListArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let resource = resources::cluster_policies();
    let api = connection.api_everywhere(&resource);
    let parameters = ListParams {
        label_selector: args.selector.clone(),
        ..ListParams::default()
    };
    let list = connection
        .call("list policies", || api.list(&parameters))
        .await?;
    if args.print.is_table() && list.items.is_empty() {
        session.out.note("No policies found.");
        return Ok(());
    }
    let items = list
        .items
        .into_iter()
        .map(|item| serde_json::to_value(view::identified(item, &resource)))
        .collect::<Result<Vec<Value>, _>>()
        .map_err(|source| Error::io("read a policy", source.into()))?;
    print::list(session, &args.print, &items, |items| {
        table(items, args.print.is_wide(), Timestamp::now())
    })
}

fn table(items: &[Value], wide: bool, now: Timestamp) -> Table {
    let titles = ["NAME", "MODE", "NAMESPACES", "RULES", "VIOLATIONS", "AGE"].into_iter();
    let further = wide
        .then_some(["READY", "LAST AUDIT"])
        .into_iter()
        .flatten();
    let mut table = Table::new(titles.chain(further));
    for item in items {
        if let Some(row) = row(item, wide, now) {
            table.push(row);
        }
    }
    table
}

fn row(item: &Value, wide: bool, now: Timestamp) -> Option<Vec<Cell>> {
    let object: DynamicObject = serde_json::from_value(item.clone()).ok()?;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let age = duration::age_since(view::created(&object).as_deref(), now);
    // What another release wrote may make no sense to this one, and is there all the same.
    let policy = read_policy(item).ok()?;
    let spec = &policy.spec;
    let mode = match spec.action {
        PolicyAction::Enforce => Style::Plain,
        PolicyAction::Warn => Style::Waiting,
        PolicyAction::Audit => Style::Dim,
    };
    let namespaces = phrases::selector(spec.namespace_selector.as_ref());
    let status = policy.status.unwrap_or_default();
    let violations = match status.violations {
        None => Cell::from("<unknown>"),
        Some(0) => Cell::from("0"),
        Some(count) => Cell::styled(count.to_string(), Style::Bad),
    };
    let or_unread = |field: &str, cell: Cell| {
        let mut unread = spec.unread.iter();
        let is_in = |part: &str| part == "spec" || part.starts_with(field);
        if unread.any(|unread| is_in(&unread.field)) {
            Cell::styled("<unreadable>", Style::Bad)
        } else {
            cell
        }
    };
    let namespaces = namespaces.unwrap_or_else(|| "<all>".to_owned());
    let mut cells: Vec<Cell> = vec![
        name.into(),
        or_unread("spec.action", Cell::styled(spec.action.as_str(), mode)),
        or_unread("spec.namespaceSelector", namespaces.into()),
        or_unread("spec", phrases::rules(spec).to_string().into()),
        violations,
        age.into(),
    ];
    if wide {
        let ready = view::condition(&object, "Ready");
        let style = match &ready {
            Some(ready) if ready.is_true() => Style::Good,
            Some(_) => Style::Bad,
            None => Style::Waiting,
        };
        let ready = ready.map_or_else(|| "Unknown".to_owned(), |found| found.status);
        let looked = status.last_audit.map(|time| time.0.to_string());
        cells.push(Cell::styled(ready, style));
        cells.push(match looked {
            None => "never".into(),
            Some(time) => format!("{} ago", duration::age_since(Some(&time), now)).into(),
        });
    }
    Some(cells)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::Paint;

    fn policy(name: &str, spec: &Value, status: &Value) -> Value {
        json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy",
            "metadata": {"name": name, "creationTimestamp": "2026-11-22T10:00:00Z"},
            "spec": spec, "status": status})
    }

    #[test]
    fn policies_are_listed_with_where_they_hold_and_what_breaks_them() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "Read", "message": "",
            "lastTransitionTime": "2026-11-22T10:00:00Z"});
        let items = [
            policy(
                "tenants",
                &json!({"namespaceSelector": {"matchLabels": {"tenant": "true"}},
                    "replicas": {"max": 3}, "versions": ["1.36"],
                    "rules": [{"name": "odd", "expression": "true"}]}),
                &json!({"violations": 2, "lastAudit": "2026-11-22T10:04:30Z",
                    "conditions": [ready]}),
            ),
            policy("all", &json!({"action": "Audit"}), &json!({})),
            policy("broken", &json!({"action": "Sometimes"}), &json!({})),
            policy("later", &json!({"action": "Warn", "more": 1}), &json!({})),
        ];
        let now = "2026-11-22T10:05:00Z".parse().unwrap();
        insta::assert_snapshot!(table(&items, true, now).render(Paint::Never), @r"
        NAME      MODE           NAMESPACES    RULES          VIOLATIONS   AGE   READY     LAST AUDIT
        tenants   Enforce        tenant=true   3              2            5m    True      30s ago
        all       Audit          <all>         0              <unknown>    5m    Unknown   never
        broken    <unreadable>   <all>         <unreadable>   <unknown>    5m    Unknown   never
        later     Warn           <all>         <unreadable>   <unknown>    5m    Unknown   never
        ");
    }
}
