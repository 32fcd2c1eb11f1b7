//! `token list`: join tokens and whether each is valid.

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use super::state::State;
use crate::duration;
use crate::error::Error;
use crate::mothership::{resources, view};
use crate::output::table::{Cell, Table};
use crate::print::{self, PrintArgs};
use crate::session::Session;
use crate::tokens::is_of;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron token list\n\
    \x20 kubectl k0smotron token list demo -o wide\n\
    \x20 kubectl k0smotron token list -A -o json | jq -r '.items[].status.expiresAt'")]
pub struct ListArgs {
    /// Only tokens of this cluster
    #[arg(value_name = "CLUSTER", value_parser = crate::flags::object_name)]
    pub of: Option<String>,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only tokens with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// How it is printed.
    #[command(flatten)]
    pub print: PrintArgs,
}

/// Lists tokens.
pub async fn run(session: &Session, args: &ListArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let resource = resources::join_token_requests();
    let (api, place) = connection.scope(&resource, args.all_namespaces);
    let parameters = ListParams {
        label_selector: args.selector.clone(),
        ..ListParams::default()
    };
    let attempt = format!("list join tokens {place}");
    let list = connection.call(&attempt, || api.list(&parameters)).await?;
    let items = list
        .items
        .into_iter()
        .filter(|item| is_of(item, args.of.as_deref()))
        .map(value)
        .collect::<Result<Vec<_>, _>>()?;
    if args.print.is_table() && items.is_empty() {
        session.out.note(&format!("No join tokens found {place}."));
        return Ok(());
    }
    print::list(session, &args.print, &items, |items| {
        table(
            items,
            args.all_namespaces,
            args.print.is_wide(),
            Timestamp::now(),
        )
    })
}

fn value(item: DynamicObject) -> Result<Value, Error> {
    serde_json::to_value(view::identified(item, &resources::join_token_requests()))
        .map_err(|source| Error::io("read a join token", source.into()))
}

fn table(items: &[Value], namespaces: bool, wide: bool, now: Timestamp) -> Table {
    let titles = namespaces.then_some("NAMESPACE").into_iter();
    let titles = titles
        .chain(["NAME", "CLUSTER", "ROLE", "STATE", "EXPIRES", "AGE"])
        .chain(wide.then_some(["TOKEN", "REASON"]).into_iter().flatten());
    let mut table = Table::new(titles);
    for item in items {
        let Ok(request) = serde_json::from_value::<DynamicObject>(item.clone()) else {
            continue;
        };
        let state = State::from_request(&request, now);
        let or = |pointer: &str, empty: &str| {
            view::text(&request, pointer).unwrap_or_else(|| empty.to_owned())
        };
        let without_end = match state {
            State::Valid => "never",
            _ => "<none>",
        };
        let mut cells: Vec<Cell> = Vec::new();
        if namespaces {
            cells.push(request.namespace().unwrap_or_default().into());
        }
        cells.extend([
            request.name_any().into(),
            or("/spec/clusterName", "<none>").into(),
            or("/spec/role", "worker").into(),
            Cell::styled(state.name(), state.style()),
            or("/status/expiresAt", without_end).into(),
            duration::age_since(view::created(&request).as_deref(), now).into(),
        ]);
        if wide {
            let told = view::condition(&request, "JoinTokenSecretCreated")
                .filter(|condition| !condition.is_true());
            cells.push(or("/status/tokenID", "<none>").into());
            cells.push(told.map(|found| found.summary()).unwrap_or_default().into());
        }
        table.push(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::Paint;

    fn request(name: &str, status: &Value) -> Value {
        json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
            "metadata": {"name": name, "namespace": "team-a",
                "creationTimestamp": "2026-11-22T10:00:00Z"},
            "spec": {"clusterName": "demo", "expiry": "1h", "role": "worker"},
            "status": status})
    }

    fn items() -> Vec<Value> {
        let created = json!({"type": "JoinTokenSecretCreated", "status": "True",
            "reason": "Created", "message": ""});
        let waits = json!({"type": "JoinTokenSecretCreated", "status": "False",
            "reason": "ClusterNotReady", "message": "the Cluster demo does not serve yet"});
        let until =
            |time: Value| json!({"tokenID": "a1b2c3", "expiresAt": time, "conditions": [created]});
        vec![
            request("demo-worker-1", &until(json!("2026-11-22T11:00:00Z"))),
            request("demo-worker-2", &until(json!("2026-11-22T10:01:00Z"))),
            request("for-ever", &until(Value::Null)),
            request("waits", &json!({"conditions": [waits]})),
        ]
    }

    fn now() -> Timestamp {
        "2026-11-22T10:05:30Z".parse().unwrap()
    }

    #[test]
    fn each_token_says_what_it_is_worth() {
        insta::assert_snapshot!(table(&items(), false, false, now()).render(Paint::Never), @r"
        NAME            CLUSTER   ROLE     STATE     EXPIRES                AGE
        demo-worker-1   demo      worker   valid     2026-11-22T11:00:00Z   5m30s
        demo-worker-2   demo      worker   expired   2026-11-22T10:01:00Z   5m30s
        for-ever        demo      worker   valid     never                  5m30s
        waits           demo      worker   pending   <none>                 5m30s
        ");
    }

    #[test]
    fn wide_says_why_there_is_none() {
        let text = table(&items(), true, true, now()).render(Paint::Never);
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("team-a"), "{text}");
        assert!(
            last.ends_with("<none>   ClusterNotReady: the Cluster demo does not serve yet"),
            "{text}"
        );
    }
}
