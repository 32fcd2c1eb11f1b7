//! What users do. Each waits between its steps until the program has done what there was to do.

mod doors;
mod programs;
mod users;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;
use serde_json::{Value, json};

use super::door::Way;
use super::stage::Stage;

/// A run of one.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A row of things that users do.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What it is called.
    pub name: &'static str,
    /// Does them.
    pub run: for<'a> fn(&'a Stage) -> Running<'a>,
    /// Of the plans that follow from it one in so many is run, since they are many and alike.
    pub one_in: u64,
    /// How many others it takes the place of while it runs.
    pub places: u32,
    /// The workload whose first step is the same: what happens there is tried in that one.
    pub begins_as: Option<&'static str>,
    /// The program competes for a lease.
    pub lease: bool,
    /// The APIs of its Clusters answer.
    pub serves: bool,
    /// The program is a webhook, and is asked this way.
    pub door: Option<Way>,
}

macro_rules! workloads {
    ($($room:ident::$name:ident $({ $($field:ident: $value:expr),* })?),* $(,)?) => {
        /// All of them.
        pub const ALL: &[Workload] = &[$(Workload {
            $($($field: $value,)*)?
            ..plain(stringify!($name), |stage| Box::pin($room::$name(stage)))
        }),*];
    };
}

workloads![
    users::create,
    users::ha,
    users::scale {
        begins_as: Some("create")
    },
    users::upgrade {
        begins_as: Some("create")
    },
    users::service {
        begins_as: Some("create")
    },
    users::delete {
        begins_as: Some("create")
    },
    users::again {
        begins_as: Some("create")
    },
    users::labels {
        begins_as: Some("create")
    },
    users::drift {
        begins_as: Some("create")
    },
    users::edits {
        begins_as: Some("create")
    },
    users::foreign,
    users::refs,
    users::spec {
        begins_as: Some("create")
    },
    users::requests,
    users::namespace {
        begins_as: Some("create")
    },
    users::many {
        one_in: 60,
        places: 10
    },
    programs::takeover,
    programs::leader {
        lease: true,
        begins_as: Some("create")
    },
    programs::failover {
        lease: true,
        begins_as: Some("create")
    },
    programs::outage { serves: true },
    programs::tokens {
        serves: true,
        begins_as: Some("outage")
    },
    programs::expiry {
        serves: true,
        begins_as: Some("outage")
    },
    programs::away {
        serves: true,
        begins_as: Some("outage")
    },
    programs::replaced { serves: true },
    doors::door {
        door: Some(Way::Straight)
    },
    doors::asked {
        door: Some(Way::Disturbed)
    },
    doors::certificate {
        door: Some(Way::Straight),
        begins_as: Some("door")
    },
];

const fn plain(name: &'static str, run: for<'a> fn(&'a Stage) -> Running<'a>) -> Workload {
    Workload {
        name,
        run,
        one_in: 1,
        places: 1,
        begins_as: None,
        lease: false,
        serves: false,
        door: None,
    }
}

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}

fn small() -> Value {
    json!({"version": "v1.36.3", "service": {"type": "ClusterIP"}})
}

async fn one(stage: &Stage) -> Result<()> {
    stage.create("one", small()).await?;
    stage.settles().await
}

/// A CA of the user's.
fn rcgen_pair() -> Result<Value> {
    let dir = tempfile::tempdir()?;
    mothership::pki::Authority::create(dir.path(), "ca")?;
    let read = |ending: &str| std::fs::read_to_string(dir.path().join(format!("ca.{ending}")));
    Ok(json!({"tls.crt": read("crt")?, "tls.key": read("key")?}))
}

fn with_refs(refs: Value) -> Value {
    let mut spec = small();
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("certificateRefs".to_owned(), refs);
    }
    spec
}
