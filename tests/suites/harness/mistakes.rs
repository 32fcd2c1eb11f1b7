//! What somebody can do wrong: one line that says what and what to try, and a code of its own.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use mothership::{Light, LightOptions};

use crate::support::{fails, mothership, stderr, wait_for, wait_until_gone};

#[test]
fn a_second_start_and_a_killed_one_are_told_apart_and_cleaned() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("m");
    assert!(
        mothership(&dir)
            .args(["up", "--light"])
            .output()
            .unwrap()
            .status
            .success()
    );

    let again = mothership(&dir).args(["up", "--light"]).output().unwrap();
    fails(
        &again,
        6,
        &["a mothership runs already", "`mothership down"],
    );

    let record = std::fs::read_to_string(dir.join("processes.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let pid = i32::try_from(record["supervisor"]["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    wait_for(|| {
        let again = mothership(&dir).args(["up", "--light"]).output().unwrap();
        fails(&again, 6, &["`mothership down"]);
        stderr(&again).contains("the last run left things behind")
    });

    assert!(
        mothership(&dir)
            .arg("down")
            .output()
            .unwrap()
            .status
            .success()
    );
    wait_until_gone(&dir);
    assert!(!dir.exists());
}

#[test]
fn a_folder_that_holds_something_else_is_neither_used_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter"), "dear").unwrap();
    let up = mothership(folder.path())
        .args(["up", "--light"])
        .output()
        .unwrap();
    fails(&up, 2, &["--dir"]);
    let down = mothership(folder.path()).arg("down").output().unwrap();
    fails(&down, 9, &["no mothership in", "`mothership up"]);
    assert!(folder.path().join("letter").exists());
}

#[test]
fn missing_programs_are_named_with_their_packages() {
    let folder = tempfile::tempdir().unwrap();
    let output = mothership(&folder.path().join("m"))
        .arg("up")
        .env("PATH", folder.path())
        .output()
        .unwrap();
    fails(&output, 4, &["not installed: ", "apt-get install"]);

    // The light level runs without any, once its components are built.
    let output = mothership(&folder.path().join("m"))
        .args(["up", "--light"])
        .env("PATH", folder.path())
        .env("MOTHERSHIP_CACHE", folder.path().join("cache"))
        .output()
        .unwrap();
    fails(&output, 4, &["not installed: go;", "https://go.dev"]);
}

#[test]
fn without_root_the_full_level_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // A copy that everybody can reach.
    let program = folder.path().join("mothership");
    std::fs::copy(env!("CARGO_BIN_EXE_mothership"), &program).unwrap();
    Command::new("chmod")
        .args(["755"])
        .arg(folder.path())
        .status()
        .unwrap();
    let output = Command::new(&program)
        .args(["--dir", "/nonexistent/m", "up"])
        .env("HOME", "/nonexistent")
        .uid(65_534)
        .output()
        .unwrap();
    fails(&output, 3, &["needs root", "sudo", "--light"]);
}

#[test]
fn a_component_that_dies_is_named_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("m");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = LightOptions {
        dir: Some(dir.clone()),
        api_flags: vec!["--no-such-flag".to_owned()],
        ..LightOptions::default()
    };
    let error = runtime.block_on(Light::start(options)).unwrap_err();
    let failure = error
        .downcast_ref::<mothership::failure::Failure>()
        .unwrap();
    assert_eq!(failure.exit_code(), 7);
    assert!(
        failure
            .to_string()
            .contains("kube-apiserver ended with exit code 1"),
        "{failure}"
    );
    assert!(failure.to_string().contains("no-such-flag"), "{failure}");
    wait_until_gone(&dir);
}

/// A command in a network of its own, where taking everything takes nothing from anybody.
fn alone(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c"]);
    command.arg(format!("ip link set lo up && ulimit -n 20000 && {script}"));
    command
}

/// Not a test: holds every port that a light mothership could take while it is started.
#[test]
#[ignore = "started by the test below, in a network of its own"]
fn hold_every_port() {
    let Some(dir) = std::env::var_os("HOLD_DIR") else {
        return;
    };
    let _held: Vec<_> = (17_000..29_800_u16)
        .map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap())
        .collect();
    let output = mothership(Path::new(&dir))
        .args(["up", "--light"])
        .output()
        .unwrap();
    fails(
        &output,
        5,
        &[
            "the first of every 1600 TCP ports from 17000 to 29799",
            "end what listens there",
        ],
    );
}

#[test]
fn without_a_free_port_or_address_range_it_says_what_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ports");
    let output = alone("exec \"$TEST\" --exact mistakes::hold_every_port --ignored")
        .env("TEST", std::env::current_exe().unwrap())
        .env("HOLD_DIR", &dir)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        stderr(&output)
    );
    assert!(!dir.exists(), "{} is left", dir.display());

    let dir = folder.path().join("ranges");
    let output =
        alone("ip route add 10.128.0.0/9 dev lo && exec \"$MOTHERSHIP\" --dir \"$DIR\" up")
            .env("MOTHERSHIP", env!("CARGO_BIN_EXE_mothership"))
            .env("DIR", &dir)
            .output()
            .unwrap();
    fails(
        &output,
        5,
        &[
            "10.180.0.0/16 to 10.239.0.0/16",
            "`ip route`",
            "`mothership down`",
        ],
    );
    assert!(!dir.exists(), "{} is left", dir.display());
}
