//! What a machine lacks is said, or installed, in the first seconds of every run.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use mothership::{paths, requirements};

use crate::support::{fails, mothership, stderr};

/// What is on every Debian machine, and make.
const ORDINARY: &str = "awk bash cat comm cut date df dirname du env find grep id ip iptables ls \
                        make mkdir mktemp mount paste rm sed setpriv sh sleep sort tail tee touch \
                        tr umount unshare";

/// A folder for `PATH` with the ordinary programs and without Rust, Go, rustup and apt-get.
struct Tools(tempfile::TempDir);

impl Tools {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let tools = Self(folder);
        for name in ORDINARY.split_whitespace() {
            tools.add(name);
        }
        tools
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn add(&self, name: &str) {
        let program = requirements::find(name).expect(name);
        symlink(program, self.path().join(name)).unwrap();
    }

    /// In the place of a program that this machine has in another version or not at all.
    fn stub(&self, name: &str, script: &str) {
        let file = self.path().join(name);
        // Never through a link to the machine's own.
        let _ = std::fs::remove_file(&file);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A shell with mounts and a network of its own, in which `$DIR` is an empty folder.
    fn shell(&self, script: &str) -> Command {
        let dir = self.path().join("dir");
        std::fs::create_dir_all(&dir).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "sh", "-ec", script])
            .current_dir(paths::workspace())
            .env("DIR", dir)
            .env("PATH", self.path())
            .env_remove("TARGETS")
            .env_remove("CARGO");
        command
    }
}

/// Rust of this toolchain without rustup, as a distribution has it.
fn sysroot() -> PathBuf {
    PathBuf::from(rustc(&["--print", "sysroot"]))
}

fn rustc(args: &[&str]) -> String {
    let output = Command::new("rustc")
        .current_dir(paths::workspace())
        .args(args)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const TARGET: &str = "x86_64-unknown-linux-musl";

/// Where the target's standard library is, on which an empty file system lies in `shell`.
fn std_folder() -> String {
    rustc(&["--print", "target-libdir", "--target", TARGET])
}

#[track_caller]
fn says(output: &Output, code: i32, lines: &[&str]) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for line in lines {
        assert!(
            told.lines().any(|told| told.contains(line)),
            "it lacks {line:?}: {told}"
        );
    }
}

#[test]
fn all_that_a_machine_lacks_is_said_at_once() {
    let tools = Tools::new();
    // A copy that everybody can read.
    let copy = tools.path().join("copy");
    let script = format!(
        "mkdir -p {copy}/tests {copy}/.ci
         cat tests/requirements.txt >{copy}/tests/requirements.txt
         cat rust-toolchain.toml >{copy}/rust-toolchain.toml
         cat .ci/packages >{copy}/.ci/packages
         mount -t tmpfs -o size=64m tmpfs \"$DIR\"
         CARGO_TARGET_DIR=$DIR HOME=$DIR exec setpriv --reuid=65534 --clear-groups \
             bash {copy}/.ci/packages lint full",
        copy = copy.display()
    );
    let started = Instant::now();
    let output = tools.shell(&script).output().unwrap();
    says(
        &output,
        3,
        &[
            "- pods and worker machines need root: sudo ",
            "- cargo is not installed: https://rustup.rs",
            "- go is not installed: https://go.dev/doc/install",
            "- too little disk: ",
        ],
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn disk_memory_and_addresses_are_measured_where_they_are_used() {
    let tools = Tools::new();
    let (path, home) = (
        std::env::var("PATH").unwrap(),
        std::env::var("HOME").unwrap(),
    );
    let script = "ip link set lo up
         ip route add 10.128.0.0/9 dev lo
         mount -t tmpfs -o size=64m tmpfs \"$DIR\"
         sed 's/^\\(MemAvailable\\|SwapFree\\):.*/\\1: 1000000 kB/' /proc/meminfo >\"$DIR/meminfo\"
         mount --bind \"$DIR/meminfo\" /proc/meminfo
         CARGO_TARGET_DIR=$DIR/target exec .ci/packages full";
    let mut command = tools.shell(script);
    let output = command
        .env("PATH", path)
        .env("HOME", home)
        .output()
        .unwrap();
    let free = format!("{} has 6", tools.path().join("dir").display());
    says(
        &output,
        10,
        &[
            &free,
            "MiB are needed there for ",
            "too little memory: 1953 MiB are free",
            "every range from 10.180.0.0/16 to 10.239.0.0/16 is taken",
        ],
    );
}

#[test]
fn without_the_target_nothing_is_built() {
    let hidden = std_folder();
    let tools = Tools::new();
    for name in ["cc", "musl-gcc"] {
        tools.add(name);
    }
    let hide = format!("mount -t tmpfs tmpfs {hidden}");
    let path = format!("{}/bin:{}", sysroot().display(), tools.path().display());
    let check = format!("{hide}; exec .ci/packages images");

    let output = tools.shell(&check).env("PATH", &path).output().unwrap();
    let missing = format!("- Rust's standard library for {TARGET} is not installed");
    says(&output, 4, &[&missing, "https://rustup.rs"]);

    // A rustup to which the target is installed already does not help.
    let rustup = "if [ \"$1\" = toolchain ]; then echo \"${RUSTUP_TOOLCHAIN:-1.95.0}\"; exit; fi";
    tools.stub("rustup", rustup);
    let output = tools.shell(&check).env("PATH", &path).output().unwrap();
    let add = format!("rustup target add {TARGET}");
    says(&output, 1, &[&format!("still missing after: {add}")]);

    tools.stub("rustup", &format!("{rustup}; exit 7"));
    let output = tools.shell(&check).env("PATH", &path).output().unwrap();
    says(&output, 1, &[&format!("this failed: {add}")]);

    tools.stub("rustup", &format!("{rustup}; umount {hidden}"));
    let output = tools.shell(&check).env("PATH", &path).output().unwrap();
    assert_eq!(stderr(&output), format!("{add}\n"));
    assert!(output.status.success());

    // By hand, with nothing in the cache: before the first of the components is built.
    let dir = tools.path().join("state");
    let script = format!("{hide}; exec \"$@\"");
    let started = Instant::now();
    let up = mothership(&dir);
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-ec", &script, "-"])
        .arg(up.get_program())
        .args(up.get_args())
        .arg("up")
        .env("MOTHERSHIP_CACHE", tools.path().join("cache"))
        .output()
        .unwrap();
    fails(&output, 4, &["not installed: ", &add]);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!tools.path().join("cache").exists());
}

#[test]
fn a_toolchain_that_is_not_there_or_too_old_is_installed_or_named() {
    let tools = Tools::new();
    tools.add("cc");
    tools.stub("cargo", "exit 1");
    let output = tools.shell("exec .ci/packages build").output().unwrap();
    says(&output, 4, &["comes with no rustc: https://rustup.rs"]);
    tools.stub("rustc", "echo 'rustc 1.85.0 (4d91de4e4 2025-02-17)'");
    let output = tools.shell("exec .ci/packages build").output().unwrap();
    says(
        &output,
        4,
        &[
            "or later is needed, and ",
            "comes with 1.85.0: https://rustup.rs",
        ],
    );

    // This rustup has other toolchains only.
    tools.stub(
        "rustup",
        "[ \"$2\" != list ] || echo stable-x86_64-unknown-linux-gnu; echo \"got $*\"",
    );
    let mut command = tools.shell("exec .ci/packages images");
    let output = command.env("RUSTUP_TOOLCHAIN", "1.95.0").output().unwrap();
    let install = format!(
        "got toolchain install 1.95.0 --no-self-update --profile minimal --component \
         rustfmt,clippy --target {TARGET}"
    );
    let told = stderr(&output);
    // musl-gcc is missing here, and there is no apt-get: nothing is installed before that is told.
    says(&output, 4, &["- not installed: musl-tools"]);
    assert!(!told.contains("got "), "{told}");
    tools.add("musl-gcc");
    let mut command = tools.shell("exec .ci/packages images");
    let output = command.env("RUSTUP_TOOLCHAIN", "1.95.0").output().unwrap();
    says(
        &output,
        1,
        &[
            &install,
            "still missing after: rustup toolchain install 1.95.0 ",
        ],
    );

    tools.stub("go", "echo 'go: go.mod requires go >= 1.26.0 (running go 1.24.4; GOTOOLCHAIN=local)' >&2; exit 1");
    let output = tools.shell("exec .ci/packages light").output().unwrap();
    says(
        &output,
        4,
        &[
            "tests/components/",
            "requires go >= 1.26.0 (running go 1.24.4",
        ],
    );
}

#[test]
fn every_run_asks_before_it_does_anything() {
    let tools = Tools::new();
    for target in [
        "demo",
        "test",
        "test-unit",
        "test-light",
        "test-full",
        "images",
        "release",
        "lint",
        "components",
        "deps",
    ] {
        let script = format!("exec make --keep-going {target}");
        let output = tools.shell(&script).output().unwrap();
        says(&output, 2, &["- cargo is not installed"]);
        let done = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!done.contains("cargo"), "{target}: {done}");
    }
    let output = tools.shell("exec .ci/run").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("- cargo is not installed"), "{told}");
    assert!(told.ends_with("\n0 passed, 0 failed\n"), "{told}");
}
