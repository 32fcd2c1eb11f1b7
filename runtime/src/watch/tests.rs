use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::ClusterResourceScope;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

/// An object with a spec and a status.
#[derive(Clone, Debug, Deserialize)]
struct Thing {
    #[serde(default)]
    metadata: ObjectMeta,
    spec: String,
    status: Option<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
    port: u16,
}

impl Resource for Thing {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Thing".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "test".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "things".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl HasSpec for Thing {
    type Spec = String;

    fn spec(&self) -> &String {
        &self.spec
    }

    fn spec_mut(&mut self) -> &mut String {
        &mut self.spec
    }
}

impl HasStatus for Thing {
    type Status = Status;

    fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    fn status_mut(&mut self) -> &mut Option<Status> {
        &mut self.status
    }
}

fn read(object: Value) -> Read<Thing> {
    serde_json::from_value(object).unwrap()
}

fn object(version: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": version, "generation": 7,
        "managedFields": [{"manager": "x"}]}, "spec": spec})
}

fn unreadable(object: Value) -> Unreadable {
    match read(object) {
        Read::Not(unreadable) => *unreadable,
        Read::Whole(thing) => panic!("it parses: {thing:?}"),
    }
}

fn known() -> Thing {
    Thing {
        metadata: ObjectMeta {
            uid: Some("1".to_owned()),
            generation: Some(3),
            ..ObjectMeta::default()
        },
        spec: "old".to_owned(),
        status: Some(Status {
            port: 1,
            ..Status::default()
        }),
    }
}

/// What comes out of events, with this object known.
fn seen(known: Option<&Thing>, events: Vec<Event<Read<Thing>>>) -> Vec<String> {
    let mut stand_in = |unreadable, _| last_known(known, &unreadable);
    let shown = events.into_iter().filter_map(|event| {
        let (what, object) = match parsed(event, &mut stand_in)? {
            Event::Apply(object) | Event::InitApply(object) => ("put", object),
            Event::Delete(object) => ("gone", object),
            Event::Init | Event::InitDone => return None,
        };
        let meta = object.metadata;
        assert!(meta.managed_fields.is_none());
        Some(format!(
            "{what} {} of {} {}",
            meta.resource_version?,
            meta.generation.unwrap_or_default(),
            object.spec
        ))
    });
    shown.collect()
}

#[test]
fn what_does_not_parse_stays_as_it_was_and_goes_when_it_is_deleted() {
    let bad = || read(object("2", &json!({"not": "text"})));
    let events = || {
        vec![
            Event::Apply(read(object("1", &json!("new")))),
            Event::InitApply(bad()),
            Event::Apply(bad()),
            Event::Delete(bad()),
        ]
    };
    let with = [
        "put 1 of 7 new",
        "put 2 of 3 old",
        "put 2 of 3 old",
        "gone 2 of 3 old",
    ];
    assert_eq!(seen(Some(&known()), events()), with);
    // Nobody knows it, so nothing has to go.
    assert_eq!(seen(None, events()), with[..1]);
    // What is known has gone unseen, and this one has its name.
    let mut namesake = known();
    namesake.metadata.uid = Some("0".to_owned());
    assert_eq!(seen(Some(&namesake), events()), with[..1]);
}

/// Whoever stands in says that it is deleted, and since when: that has to be seen again.
#[test]
fn what_stands_in_says_what_was_written_meanwhile() {
    let condition = |type_: &str, at: &str| {
        json!({"type": type_, "status": "True", "reason": "R", "message": "",
            "lastTransitionTime": at})
    };
    let stand_in = |spec: Value, status: Value| {
        let mut object = object("2", &spec);
        object["status"] = status;
        let stand_in = last_known(Some(&known()), &unreadable(object)).unwrap();
        // Each part by itself: one that its user corrects is followed.
        let (wanted, of) = match spec.as_str() {
            Some(spec) => (spec, 7),
            None => ("old", 3),
        };
        assert_eq!(stand_in.spec, wanted);
        assert_eq!(stand_in.metadata.generation, Some(of));
        let status = stand_in.status?;
        let types = status.conditions.into_iter().map(|c| c.type_);
        Some((status.port, types.collect::<Vec<_>>().join(" ")))
    };
    let ours = || condition("Deleting", "2026-01-01T00:00:00Z");
    let odd = || condition("Odd", "2026-01-01T00:00:00+99:00");
    let said = |port: u16, types: &str| Some((port, types.to_owned()));
    let status = json!({"conditions": [ours()], "port": 2});
    assert_eq!(stand_in(json!(5), status), said(2, "Deleting"));
    let status = json!({"conditions": [odd(), ours()], "port": 2});
    assert_eq!(stand_in(json!("new"), status), said(2, "Deleting"));
    let status = json!({"conditions": "none", "port": 2});
    assert_eq!(stand_in(json!("new"), status), said(2, ""));
    assert_eq!(stand_in(json!(5), Value::Null), None);
    // What it records cannot be read: what is known of that holds.
    let status = json!({"conditions": [ours()], "port": "two"});
    assert_eq!(stand_in(json!("new"), status), said(1, ""));
}

#[test]
fn of_what_does_not_parse_metadata_and_the_rest_are_there() {
    let unreadable = unreadable(object("2", &json!(5)));
    assert_eq!(unreadable.metadata.name.as_deref(), Some("a"));
    assert_eq!(unreadable.object["spec"], json!(5));
    assert!(
        unreadable.error.contains("invalid type"),
        "{}",
        unreadable.error
    );
    // Not even its metadata: then it is no object at all.
    let worse = json!({"metadata": {"name": 5}});
    assert!(serde_json::from_value::<Read<Thing>>(worse).is_err());
}
