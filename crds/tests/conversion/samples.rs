//! Objects as users of v1beta1 write them.

use crds::{v1beta1, v1beta2, validation};
use rstest::rstest;
use serde::Deserialize;
use serde_json::Value;

use crate::server::Server;

#[rstest]
#[case::basic(include_str!("../fixtures/v1beta1/basic.yaml"))]
#[case::high_availability(include_str!("../fixtures/v1beta1/high-availability.yaml"))]
#[case::kine(include_str!("../fixtures/v1beta1/kine.yaml"))]
#[case::load_balancer(include_str!("../fixtures/v1beta1/load-balancer.yaml"))]
#[case::join_token(include_str!("../fixtures/v1beta1/join-token.yaml"))]
#[case::join_token_elsewhere(include_str!("../fixtures/v1beta1/join-token-elsewhere.yaml"))]
fn a_sample_is_accepted_stored_and_read_again(#[case] yaml: &str) {
    let mut written: Value = serde_saphyr::from_str(yaml).unwrap();
    written["metadata"]["namespace"] = "hosting".into();
    let server = Server::new(written["kind"].as_str().unwrap());
    let mut known = written.clone();
    crate::server::prune(&mut known, server.schema(crate::V1BETA1));
    assert_eq!(known, written, "a field is unknown");
    let stored = server.stored(&written);
    if written["kind"] == "Cluster" {
        v1beta1::Cluster::deserialize(&written)
            .unwrap()
            .validate_cel()
            .unwrap();
        let cluster = v1beta2::Cluster::deserialize(&stored).unwrap();
        cluster.validate_cel().unwrap();
        assert_eq!(validation::validate_cluster(&cluster), []);
    } else {
        v1beta1::JoinTokenRequest::deserialize(&written)
            .unwrap()
            .validate_cel()
            .unwrap();
        let request = v1beta2::JoinTokenRequest::deserialize(&stored).unwrap();
        request.validate_cel().unwrap();
        assert_eq!(validation::validate_join_token_request(&request), []);
    }
    assert_eq!(server.read_v1beta1(&stored), server.completed(&written));
    assert_eq!(
        stored["metadata"]["annotations"].get("k0smotron.io/only-in-v1beta1"),
        None
    );
}
