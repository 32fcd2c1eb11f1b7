use kube::core::Status;
use kube::core::response::{StatusCause, StatusDetails};

use super::*;

fn status(code: u16, message: &str) -> Status {
    Status::failure(message, "").with_code(code)
}

fn details(name: &str, kind: &str, causes: &[(&str, &str)]) -> StatusDetails {
    StatusDetails {
        name: name.to_owned(),
        group: String::new(),
        kind: kind.to_owned(),
        uid: String::new(),
        causes: causes
            .iter()
            .map(|(field, message)| StatusCause {
                reason: String::new(),
                message: (*message).to_owned(),
                field: (*field).to_owned(),
            })
            .collect(),
        retry_after_seconds: 0,
    }
}

fn from(status: Status) -> Error {
    let error = kube::Error::Api(Box::new(status));
    Error::from_kube(
        "create cluster default/demo",
        "https://10.0.0.1:6443",
        error,
    )
}

#[test]
fn each_answer_of_the_server_has_its_exit_code() {
    let named = details("nowhere", "namespaces", &[]);
    for (status, exit) in [
        (status(401, "Unauthorized"), Exit::NoPermission),
        (
            status(403, "clusters.k0smotron.io is forbidden"),
            Exit::NoPermission,
        ),
        (
            status(403, "admission webhook \"p\" denied the request: no"),
            Exit::Refused,
        ),
        (status(404, "404 page not found"), Exit::NotInstalled),
        (
            status(404, "namespaces \"nowhere\" not found").with_details(named),
            Exit::NotFound,
        ),
        (status(409, "already exists"), Exit::Conflict),
        (status(422, "is invalid"), Exit::Refused),
        (status(400, "strict decoding error"), Exit::Refused),
        (status(500, "etcd leader changed"), Exit::Failure),
        (status(429, "too many requests"), Exit::Failure),
    ] {
        assert_eq!(from(status.clone()).exit(), exit, "{status:?}");
    }
}

#[test]
fn exit_codes_are_all_different_and_listed() {
    let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    codes.dedup();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130]);
}

#[test]
fn the_page_about_exit_codes_lists_each_one() {
    let page = include_str!("../../../docs/exit-codes.md");
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(
            page.contains(&row),
            "docs/exit-codes.md lacks the row {row:?}"
        );
    }
}

#[test]
fn every_field_that_is_wrong_is_named() {
    let causes = [
        ("spec.replicas", "Invalid value: -1: must be at least 1"),
        ("spec.service.type", "Unsupported value: \"Foo\""),
    ];
    let error = from(status(422, "is invalid").with_details(details("demo", "Cluster", &causes)));
    insta::assert_snapshot!(error, @r#"
    cannot create cluster default/demo: refused: spec.replicas: Invalid value: -1: must be at least 1
      spec.service.type: Unsupported value: "Foo"
    "#);
}

#[test]
fn a_name_that_looks_alike_is_offered() {
    let error = Error::UnknownCluster {
        name: "dmeo".into(),
        namespace: "default".into(),
        near: vec!["demo".into(), "demo-2".into()],
        elsewhere: vec!["team-a".into()],
    };
    insta::assert_snapshot!(error, @r#"there is no cluster "dmeo" in namespace "default""#);
    insta::assert_snapshot!(error.hints().join("\n"), @r"
    there is one in namespace team-a: add -n team-a
    did you mean demo or demo-2?
    ");
}

#[test]
fn a_refused_connection_says_so_without_its_layers() {
    let refused = io::Error::from_raw_os_error(111);
    let error = kube::Error::Service(Box::new(io::Error::other(refused)));
    let error = Error::from_kube("list clusters", "https://10.0.0.1:6443", error);
    insta::assert_snapshot!(
        error,
        @"cannot reach the API server at https://10.0.0.1:6443: Connection refused"
    );
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(error.is_passing());
}

#[test]
fn a_pipe_that_broke_is_a_failure_but_for_standard_output() {
    let gone = Error::io("write x", io::ErrorKind::BrokenPipe.into());
    assert_eq!(gone.exit(), Exit::Failure);
}

#[test]
fn no_error_shows_the_inside_of_a_value() {
    for error in [
        from(status(500, "boom")),
        Error::TimedOut {
            waited: Duration::from_mins(5),
            what: "cluster default/demo to become Available".into(),
            last: "EtcdNotReady: 0 of 1 members are ready".into(),
            hints: vec![],
        },
        Error::Interrupted {
            left: "nothing was changed".into(),
            hints: vec![],
        },
    ] {
        let text = error.to_string();
        assert!(!text.contains('{') && !text.contains("Some("), "{text}");
    }
}
