//! How long a conversion takes: `cargo test --release -p crds --test conversion speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crds::conversion::{convert, prepare};
use serde_json::json;

use crate::{V1BETA1, V1BETA2, cluster};

const TIMES: u32 = 20_000;

#[test]
#[ignore = "says something only of an optimised build, in a process of its own"]
fn a_conversion_of_four_kilobytes_takes_less_than_a_millisecond() {
    let flags: Vec<_> = (0..128)
        .map(|i| format!("--labels=zone-{i}=value-{i}"))
        .collect();
    let object = cluster(
        V1BETA2,
        json!({"spec": {
            "replicas": 3, "version": "v1.36.3-k0s.2", "controlPlaneFlags": flags,
            "service": {"type": "NodePort", "apiPort": 30443, "konnectivityPort": 30132},
            "storage": {"type": "etcd", "etcd": {"persistence": {"size": "1Gi"}}},
            "persistence": {"type": "emptyDir"},
            "patches": [{"target": {"kind": "Service", "component": "control-plane"},
                "patch": {"type": "merge", "content": "metadata: {annotations: {a: b}}"}}],
        }}),
    );
    println!("{} bytes", object.to_string().len());
    let began = Instant::now();
    prepare();
    println!("prepare: {:?}", began.elapsed());
    let began = Instant::now();
    let older = convert(object.clone(), V1BETA1).unwrap();
    println!("the first conversion after that: {:?}", began.elapsed());
    for (to, object) in [(V1BETA1, &object), (V1BETA2, &older)] {
        let began = Instant::now();
        for _ in 0..TIMES {
            black_box(convert(black_box(object.clone()), to)).unwrap();
        }
        let each = began.elapsed() / TIMES;
        println!("to {to}: {each:?}");
        assert!(each < Duration::from_millis(1), "{each:?}");
    }
}
