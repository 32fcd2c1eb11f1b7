//! A program in ssh's place runs the command here, below a directory in place of `/`, or says
//! what OpenSSH says when it cannot.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::*;
use crate::commands::join::script::tests::{KUBECONFIG, packed};
use crate::output::Output;

const K0S: &str = "#!/bin/sh\n[ \"$1\" != version ] || echo v1.36.3+k0s.2\n";

/// The last but one argument is the machine, the last the command.
const SSH: &str = r#"#!/bin/sh
for word; do machine=$command; command=$word; done
case $machine in
unknown) echo "No ED25519 host key is known for unknown and you have requested strict checking." >&2
    echo "Host key verification failed." >&2; exit 255 ;;
changed) echo "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @" >&2
    echo "Host key verification failed." >&2; exit 255 ;;
denied) echo "denied: Permission denied (publickey)." >&2; exit 255 ;;
gone) echo "ssh: connect to host gone port 22: Connection refused" >&2; exit 255 ;;
stuck) exec sleep 60 ;;
late) sh -c "$command"; echo "late: Permission denied (publickey)." >&2; exit 255 ;;
killed) echo "join: starting k0s" >&2; exit 137 ;;
endless) head -c 5000000 /dev/zero | tr '\0' x >&2; exit 1 ;;
esac
[ "$machine" != joined ] || { mkdir -p "$DIR/joined/var/lib/k0s"; : >"$DIR/joined/var/lib/k0s/kubelet.conf"; }
echo "a greeting" >&2
PATH=$DIR/there:$PATH exec sh -c "$command"
"#;

/// The cluster takes every token.
const CURL: &str = "#!/bin/sh\ncat >/dev/null; echo 200\n";

struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let dir = scene.dir.path();
        let ssh = SSH.replace("$DIR", dir.to_str().unwrap());
        scene.program("ssh", &ssh);
        fs::create_dir(dir.join("there")).unwrap();
        scene.program("there/curl", CURL);
        scene
    }

    fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn load(&self, root: &str, setup: Setup, binary: Option<&Path>) -> Load {
        let token = JoinToken {
            token: packed(KUBECONFIG),
            ..JoinToken::masked("team-a", "demo", Role::Worker, Some("v1.36.3+k0s.2".into()))
        };
        let setup = Setup {
            root: self.dir.path().join(root).to_str().unwrap().to_owned(),
            binary: binary.map(|_| "-".to_owned()),
            ..setup
        };
        Load {
            script: script::script(&token, &setup).unwrap(),
            binary: binary.map(Path::to_path_buf),
            program: self.dir.path().join("ssh"),
            node: None,
        }
    }
}

fn hosts(names: &[&str]) -> Vec<Host> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn joined(
    load: &Load,
    names: &[&str],
    parallel: usize,
    timeout: Duration,
) -> (Vec<JoinOutcome>, String, Vec<String>) {
    let (out, captured) = Output::captured();
    let told = std::cell::RefCell::new(Vec::new());
    let hosts = hosts(names);
    let needing = std::cell::RefCell::default();
    let board = Board::new(&out, &hosts, &needing, |states| {
        told.borrow_mut().push(states.to_owned());
    });
    let args = SshArgs::default();
    let outcomes = fleet::all(
        &hosts,
        parallel,
        Some(timeout),
        &board,
        async |host, line| one(host, line, &args, load, None).await,
    )
    .await;
    drop(board);
    (outcomes, captured.stderr(), told.into_inner())
}

const LONG: Duration = Duration::from_secs(50);

#[tokio::test]
async fn a_machine_joins_with_the_program_that_was_sent_along() {
    let scene = Scene::new();
    // More than any buffer on the way holds.
    let large = format!("{K0S}exit 0\n{}", "# filler\n".repeat(400_000));
    let binary = scene.program("k0s-here", &large);
    let load = scene.load("a", Setup::default(), Some(&binary));
    let (outcomes, shown, told) = joined(&load, &["root@node-1:2222"], 1, LONG).await;
    assert_eq!(outcomes[0].result, Ok(Reached::Started), "{shown}");
    assert!(outcomes[0].node.is_some());
    let root = scene.dir.path().join("a");
    let arrived = fs::read_to_string(root.join("usr/local/bin/k0s")).unwrap();
    assert_eq!(arrived, large);
    let token = fs::read_to_string(root.join("etc/k0s/demo-worker.token")).unwrap();
    assert_eq!(token, packed(KUBECONFIG) + "\n");
    let steps: Vec<_> = shown.lines().collect();
    assert_eq!(steps[0], "root@node-1:2222: connecting");
    assert_eq!(steps[1], "root@node-1:2222: checking the machine");
    assert_eq!(steps.last().unwrap(), &"root@node-1:2222: started");
    assert!(!shown.contains(&packed(KUBECONFIG)));
    assert_eq!(told.last().unwrap(), "root@node-1:2222: started");
}

#[tokio::test]
async fn each_failure_has_its_reason_and_stops_no_other_machine() {
    let scene = Scene::new();
    let binary = scene.program("k0s-here", K0S);
    let load = scene.load("joined", Setup::default(), Some(&binary));
    let names = ["unknown", "changed", "denied", "gone", "joined"];
    let (outcomes, ..) = joined(&load, &names, 3, LONG).await;
    let machines: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.host.as_str())
        .collect();
    assert_eq!(machines, names);
    let failures: Vec<&Failure> = outcomes
        .iter()
        .map(|outcome| outcome.result.as_ref().unwrap_err())
        .collect();
    assert_eq!(failures[0], &Failure::UnknownKey);
    assert_eq!(failures[1], &Failure::ChangedKey);
    assert!(matches!(failures[2], Failure::Denied(_)));
    assert!(matches!(failures[3], Failure::Unreachable(_)));
    assert!(matches!(failures[4], Failure::Joined(_)), "{}", failures[4]);
    let error = ended(&outcomes).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("5 of 5 machines have not joined")
    );
    assert_eq!(error.exit(), Exit::Failure);

    let load = scene.load("fresh", Setup::default(), Some(&binary));
    let (outcomes, ..) = joined(&load, &["gone", "well"], 2, LONG).await;
    assert_eq!(outcomes[1].result, Ok(Reached::Started));
    assert_eq!(ended(&outcomes).unwrap_err().exit(), Exit::Unreachable);
}

#[tokio::test]
async fn what_a_machine_says_decides_neither_about_the_token_nor_about_memory() {
    let scene = Scene::new();
    let load = scene.load("a", Setup::default(), None);
    let names = ["late", "killed", "endless"];
    let (outcomes, shown, _) = joined(&load, &names, 3, LONG).await;
    let failures: Vec<&Failure> = outcomes
        .iter()
        .map(|outcome| outcome.result.as_ref().unwrap_err())
        .collect();
    assert!(matches!(failures[0], Failure::Lost(_)), "{shown}");
    assert!(matches!(failures[1], Failure::Killed { code: 137, .. }));
    assert!(outcomes[0].may_still_join() && outcomes[1].may_still_join());
    let said = failures[2].to_string();
    assert!(said.ends_with("x [4999600 more bytes]"), "{said:.600}");
    assert!(said.len() < 500, "{}", said.len());
}

#[tokio::test]
async fn a_machine_that_hangs_ends_in_time_with_what_it_was_at() {
    let scene = Scene::new();
    let load = scene.load("a", Setup::default(), None);
    let started = Instant::now();
    let (outcomes, ..) = joined(&load, &["stuck"], 1, Duration::from_millis(300)).await;
    assert!(started.elapsed() < Duration::from_secs(20));
    let failure = outcomes[0].result.as_ref().unwrap_err();
    assert!(failure.to_string().ends_with(": connecting"), "{failure}");
    assert_eq!(ended(&outcomes).unwrap_err().exit(), Exit::TimedOut);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_the_reason_that_is_told() {
    let scene = Scene::new();
    let load = scene.load("a", Setup::default(), Some(Path::new("/nowhere/k0s")));
    let (outcomes, ..) = joined(&load, &["node-1"], 1, LONG).await;
    let failure = outcomes[0].result.as_ref().unwrap_err();
    assert!(
        failure.to_string().contains("/nowhere/k0s cannot be read"),
        "{failure}"
    );
}

/// The start command only waits, so that what is measured is how the machines share the time.
#[test]
fn machines_of_one_name_are_not_two_nodes() {
    let outcome = |node: Option<&str>, host: &str| JoinOutcome {
        host: host.to_owned(),
        node: node.map(str::to_owned),
        took: Duration::ZERO,
        result: Ok(Reached::Ready),
    };
    let outcomes = told_apart(vec![
        outcome(Some("debian"), "a"),
        outcome(Some("other"), "b"),
        outcome(None, "c"),
        outcome(None, "d"),
        outcome(Some("debian"), "e"),
    ]);
    let failed: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.result.as_ref().err())
        .collect();
    assert_eq!(failed, [&Failure::SameName("debian".into())]);
    assert!(outcomes[4].result.is_err());
}

#[tokio::test]
async fn ten_machines_take_hardly_longer_than_one() {
    let scene = Scene::new();
    let setup = Setup {
        start_command: Some("sleep 2".into()),
        ..Setup::default()
    };
    let load = scene.load("a", setup, None);
    let names: Vec<String> = (0..10).map(|number| format!("node-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let started = Instant::now();
    let (one, ..) = joined(&load, &names[..1], 10, LONG).await;
    let alone = started.elapsed();
    let started = Instant::now();
    let (all, ..) = joined(&load, &names, 10, LONG).await;
    let together = started.elapsed();
    for outcome in one.iter().chain(&all) {
        assert_eq!(outcome.result, Ok(Reached::Started));
    }
    let ratio = together.as_secs_f64() / alone.as_secs_f64();
    eprintln!("1 machine: {alone:?}, 10 machines: {together:?}, ratio {ratio:.2} (budget 1.5)");
    // A busy machine must not fail this; one after another would be ten times.
    assert!(ratio < 9.0, "ratio {ratio:.2}");
}

#[test]
fn a_review_shows_what_would_be_run_and_no_token() {
    let ssh = SshArgs {
        machines: hosts(&["root@node-1", "node-2:2222"]),
        ..SshArgs::default()
    };
    let masked = JoinToken::masked("team-a", "demo", Role::Worker, Some("v1.36.3+k0s.2".into()));
    let script = script::script(&masked, &Setup::default()).unwrap();
    let text = review(&ssh, Some(Path::new("./k0s")), &script);
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("ssh -T "))
            .count(),
        2
    );
    assert!(
        text.contains("and after it the file ./k0s:\n\n#!/bin/sh\n"),
        "{text}"
    );
    assert!(text.contains("\ntoken='<token>'\n"));
}

#[test]
fn a_node_of_another_name_than_the_machines_is_waited_for_by_that() {
    let words = |line: &str| -> Vec<String> { shell_words::split(line).unwrap() };
    let found = overridden(&words(
        "--kubelet-extra-args '--v=2 --hostname-override=edge-7'",
    ));
    assert_eq!(found.as_deref(), Some("edge-7"));
    let found = overridden(&words("--kubelet-extra-args=--hostname-override=edge-7"));
    assert_eq!(found.as_deref(), Some("edge-7"));
    assert_eq!(overridden(&words("--profile x")), None);
}

#[test]
fn a_machine_is_named_once() {
    assert!(twice(&hosts(&["a", "b", "root@a"])).is_none());
    assert_eq!(twice(&hosts(&["a", "b", "a"])).unwrap().to_string(), "a");
}

#[test]
fn the_summary_has_a_line_for_each_machine() {
    let outcome = |host: &str, result| JoinOutcome {
        host: host.into(),
        node: None,
        took: Duration::from_secs(42),
        result,
    };
    let outcomes = [
        JoinOutcome {
            node: Some("node-1".into()),
            ..outcome("root@10.0.0.7", Ok(Reached::Ready))
        },
        outcome("root@10.0.0.8", Err(Failure::UnknownKey)),
    ];
    insta::assert_snapshot!(fleet::table(&outcomes).render(crate::output::Paint::Never), @r"
    MACHINE         NODE     STATE    TOOK   REASON
    root@10.0.0.7   node-1   ready    42s
    root@10.0.0.8   <none>   failed   42s    its host key is not known
    ");
    let report = fleet::report(&outcomes);
    assert_eq!(report["machines"][1]["state"], "failed");
    assert_eq!(report["machines"][0]["node"], "node-1");
}
