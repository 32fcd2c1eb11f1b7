//! How long a decision takes: `cargo test --release -p crds --test admission speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Duration;

use crds::admission::{Kind, Operation, default, validate};
use crds::lookup::Unknown;
use serde_json::json;

use crate::objects::whole;
use crate::request;

const TIMES: u32 = 20_000;

/// What this thread has had of a processor, whatever else the machine does.
fn worked() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = stat.split(' ').next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

fn each(name: &str, mut decide: impl FnMut()) -> Duration {
    for _ in 0..TIMES / 10 {
        decide();
    }
    let began = worked();
    for _ in 0..TIMES {
        decide();
    }
    let each = worked().saturating_sub(began) / TIMES;
    println!("{name}: {each:?}");
    each
}

#[test]
#[ignore = "says something only of an optimised build"]
fn a_decision_about_four_kilobytes_takes_well_under_a_tenth_of_a_millisecond() {
    let mut old = whole();
    let flags: Vec<_> = (0..64)
        .map(|i| format!("--labels=zone-{i}=value-{i}"))
        .collect();
    old["spec"]["controlPlaneFlags"] = json!(flags);
    old["metadata"]["managedFields"] = json!([{
        "apiVersion": "k0smotron.io/v1beta2", "fieldsType": "FieldsV1", "manager": "kubectl",
        "operation": "Apply", "fieldsV1": {"f:spec": {"f:service": {"f:type": {}}, "f:storage": {}}},
    }]);
    println!("{} bytes", old.to_string().len());
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(5);
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"c": "d"});

    let create = request(Operation::Create, None, Some(&old));
    let update = request(Operation::Update, Some(&old), Some(&new));
    let label = request(Operation::Update, Some(&old), Some(&labelled));
    let limit = Duration::from_micros(100);
    for (name, request) in [("create", &create), ("update", &update), ("label", &label)] {
        let took = each(&format!("validate, {name}"), || {
            black_box(validate(Kind::Cluster, black_box(request), &Unknown));
        });
        assert!(took < limit, "{name}: {took:?}");
        let took = each(&format!("default, {name}"), || {
            black_box(default(Kind::Cluster, black_box(request)));
        });
        assert!(took < limit, "{name}: {took:?}");
    }
}
