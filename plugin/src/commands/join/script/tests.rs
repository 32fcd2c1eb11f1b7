//! The script is run for real, below a directory in place of `/`, by every shell that is there.
//! What it calls is played by small programs that record how they were called.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const TOKEN_FILE: &str = "etc/k0s/demo-worker.token";

/// A k0s of this version that records its calls, and fails at the step that it is told.
fn k0s(version: &str) -> String {
    format!(
        "#!/bin/sh\n\
         [ \"$1\" != version ] || {{ echo {version}; exit 0; }}\n\
         {{ printf 'k0s'; printf ' <%s>' \"$@\"; echo; }} >>\"$RECORD\"\n\
         [ \"$1\" != \"${{FAILING-}}\" ]\n"
    )
}

struct Machine {
    dir: tempfile::TempDir,
    shell: &'static str,
}

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
    record: String,
}

impl Machine {
    fn new(shell: &'static str) -> Self {
        let machine = Self {
            dir: tempfile::tempdir().unwrap(),
            shell,
        };
        machine.program("id", "#!/bin/sh\necho \"${USER_ID-0}\"\n");
        machine.program(
            "uname",
            "#!/bin/sh\ncase $1 in -m) echo \"${MACHINE-x86_64}\" ;; -n) echo Node-1 ;; esac\n",
        );
        machine.program(
            "curl",
            "#!/bin/sh\n{ printf 'curl'; printf ' <%s>' \"$@\"; echo; } >>\"$RECORD\"\n\
             case $* in *\" -K - \"*) cat >>\"$RECORD\"; [ -z \"${AWAY-}\" ] || \
             { echo \"curl: (7) $AWAY\" >&2; echo 000; exit 7; }; echo \"${ANSWER-200}\"; exit ;; esac\n\
             while [ $# -gt 0 ]; do [ \"$1\" != -o ] || to=$2; url=$1; shift; done\n\
             [ -f \"$SERVED\" ] || exit 22\n\
             case $url in */sha256sums.txt) for arch in amd64 arm64 arm; do\n\
             printf '%s *k0s-v1.36.3+k0s.2-%s\\n' \"${SUM-$(sha256sum <\"$SERVED\" | cut -c1-64)}\" $arch\n\
             done >\"$to\" ;; *) cat \"$SERVED\" >\"$to\" ;; esac\n",
        );
        fs::create_dir_all(machine.root()).unwrap();
        machine
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn program(&self, name: &str, text: &str) {
        self.file(&format!("bin/{name}"), text);
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn runs(&self, setup: &Setup, environment: &[(&str, &str)]) -> Ended {
        self.runs_with(&token(), setup, environment)
    }

    fn runs_with(&self, token: &JoinToken, setup: &Setup, environment: &[(&str, &str)]) -> Ended {
        let setup = Setup {
            root: self.root().to_str().unwrap().to_owned(),
            ..setup.clone()
        };
        let script = script(token, &setup).unwrap();
        let path = self.file("join.sh", &script);
        self.shell(&[path.to_str().unwrap()], environment)
    }

    fn shell(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let mut words = self.shell.split(' ');
        let output = Command::new(words.next().unwrap())
            .args(words)
            .args(arguments)
            .env(
                "PATH",
                format!("{}/bin:/usr/bin:/bin", self.dir.path().display()),
            )
            .env("RECORD", self.dir.path().join("record"))
            .env("SERVED", self.dir.path().join("served"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            record: fs::read_to_string(self.dir.path().join("record")).unwrap_or_default(),
        }
    }

    /// The files below the root.
    fn files(&self) -> Vec<String> {
        fn walk(dir: &Path, base: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, base, found);
                } else {
                    let name = path.strip_prefix(base).unwrap();
                    found.push(name.display().to_string());
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.root(), &self.root(), &mut found);
        found.sort();
        found
    }
}

fn token() -> JoinToken {
    JoinToken {
        request: "r".into(),
        namespace: "team-a".into(),
        cluster: "demo".into(),
        role: Role::Worker,
        token_id: None,
        expires_at: None,
        version: Some("v1.36.3+k0s.2".into()),
        token: packed(KUBECONFIG),
    }
}

pub const KUBECONFIG: &str = "apiVersion: v1\nclusters:\n- cluster:\n    server: https://demo:6443\n\
    \x20   certificate-authority-data: Q0E=\n  name: k0s\nusers:\n\
    - name: kubelet-bootstrap\n  user:\n    token: '123456.0123456789abcdef'\n";

/// What k0s makes of a kubeconfig.
pub fn packed(kubeconfig: &str) -> String {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(kubeconfig.as_bytes()).unwrap();
    STANDARD.encode(gzip.finish().unwrap())
}

fn sum_of(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_once(' ').unwrap().0.to_owned()
}

/// Those of the shells that this machine has.
fn there(known: &[&'static str]) -> Vec<&'static str> {
    let there = |shell: &&str| {
        let mut words = shell.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["-c", ":"]);
        command.status().is_ok_and(|status| status.success())
    };
    known.iter().copied().filter(there).collect()
}

fn in_every_shell(test: impl Fn(Machine)) {
    for shell in there(&["sh", "dash", "bash --posix"]) {
        test(Machine::new(shell));
    }
}

#[test]
fn every_shell_can_read_it() {
    // Busybox has programs of its own, so that it can only read here.
    for shell in there(&["sh", "dash", "bash --posix", "busybox sh"]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("join.sh");
        fs::write(&path, script(&token(), &Setup::default()).unwrap()).unwrap();
        let mut words = shell.split(' ');
        let status = Command::new(words.next().unwrap())
            .args(words)
            .arg("-n")
            .arg(path)
            .status()
            .unwrap();
        assert!(status.success(), "{shell}");
    }
}

#[test]
fn a_machine_gets_the_clusters_k0s_and_joins() {
    in_every_shell(|machine| {
        machine.file("served", &k0s("v1.36.3+k0s.2"));
        let ended = machine.runs(&Setup::default(), &[("MACHINE", "aarch64")]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(ended.stdout, "node: node-1\n");
        assert!(ended.record.contains(
            "<https://github.com/k0sproject/k0s/releases/download/v1.36.3+k0s.2/\
             k0s-v1.36.3+k0s.2-arm64>"
        ));
        assert_eq!(machine.files(), [TOKEN_FILE, "usr/local/bin/k0s"]);
        let file = machine.root().join(TOKEN_FILE);
        assert_eq!(fs::read_to_string(&file).unwrap(), token().token + "\n");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let calls: Vec<_> = ended.record.lines().skip(4).collect();
        let install = format!("k0s <install> <worker> <--token-file> <{}>", file.display());
        assert_eq!(calls, [install.as_str(), "k0s <start>"]);
    });
}

#[test]
fn k0s_of_the_same_version_is_taken_as_it_is_and_another_one_is_not() {
    in_every_shell(|machine| {
        machine.program("k0s", &k0s("v1.36.3+k0s.2"));
        let ended = machine.runs(&Setup::default(), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(machine.files(), [TOKEN_FILE]);

        let machine = Machine::new(machine.shell);
        machine.program("k0s", &k0s("v1.30.0+k0s.0"));
        machine.file("served", &k0s("v1.36.3+k0s.2"));
        let ended = machine.runs(&Setup::default(), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(machine.files(), [TOKEN_FILE, "usr/local/bin/k0s"]);
    });
}

#[test]
fn a_machine_that_is_joined_already_is_left_alone() {
    for trace in [
        "etc/systemd/system/k0sworker.service",
        "etc/systemd/system/k0scontroller.service",
        "etc/init.d/k0sworker",
        "var/lib/k0s/kubelet.conf",
    ] {
        in_every_shell(|machine| {
            machine.file(&format!("root/{trace}"), "");
            let ended = machine.runs(&Setup::default(), &[]);
            assert_eq!(ended.code, 3, "{trace}: {}", ended.stderr);
            assert!(ended.stderr.contains("joined already"), "{}", ended.stderr);
            assert_eq!(machine.files(), [trace]);
            assert_eq!(ended.record, "");
        });
    }
}

#[test]
fn nothing_is_left_when_a_step_fails() {
    in_every_shell(|machine| {
        // No download; what came does not run; what came is another version.
        for served in [
            None,
            Some("not a program".to_owned()),
            Some(k0s("v1.30.0+k0s.0")),
        ] {
            if let Some(served) = served {
                machine.file("served", &served);
            }
            let ended = machine.runs(&Setup::default(), &[]);
            assert_eq!(ended.code, 5, "{}", ended.stderr);
            assert_eq!(machine.files(), [""; 0], "{}", machine.shell);
        }
        machine.file("served", &k0s("v1.36.3+k0s.2"));
        for step in ["install", "start"] {
            let ended = machine.runs(&Setup::default(), &[("FAILING", step)]);
            assert_eq!(ended.code, 1, "{}", ended.stderr);
            assert!(ended.stderr.contains(&format!("k0s {step} failed")));
            assert!(ended.record.ends_with("k0s <stop>\nk0s <reset>\n"));
            assert_eq!(machine.files(), [""; 0]);
            assert!(!machine.root().join("etc/k0s").exists());
        }
    });
}

#[test]
fn a_failure_brings_back_the_k0s_that_was_there() {
    in_every_shell(|machine| {
        machine.file("root/usr/local/bin/k0s", "the old one");
        machine.file("served", &k0s("v1.36.3+k0s.2"));
        let ended = machine.runs(&Setup::default(), &[("FAILING", "start")]);
        assert_eq!(ended.code, 1);
        assert_eq!(machine.files(), ["usr/local/bin/k0s"]);
        let kept = fs::read_to_string(machine.root().join("usr/local/bin/k0s"));
        assert_eq!(kept.unwrap(), "the old one");
    });
}

#[test]
fn a_download_address_and_a_path_take_the_place_of_the_releases() {
    in_every_shell(|machine| {
        let served = machine.file("served", &k0s("v1.36.3+k0s.2"));
        let mirror = Setup {
            download_url: Some("http://mirror/{arch}/it's&k0s-{version}".into()),
            sums: vec![sum_of(&served)],
            ..Setup::default()
        };
        let ended = machine.runs(&mirror, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(
            ended
                .record
                .contains("<http://mirror/amd64/it's&k0s-v1.36.3+k0s.2>")
        );

        let machine = Machine::new(machine.shell);
        let offline = Setup {
            binary: Some(served.to_str().unwrap().to_owned()),
            ..Setup::default()
        };
        let ended = machine.runs(&offline, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(ended.record.matches("curl").count(), 1, "{}", ended.record);
        assert_eq!(machine.files(), [TOKEN_FILE, "usr/local/bin/k0s"]);

        let gone = Setup {
            binary: Some("/nowhere/k0s".into()),
            ..Setup::default()
        };
        let machine = Machine::new(machine.shell);
        let ended = machine.runs(&gone, &[]);
        assert_eq!(ended.code, 5, "{}", ended.stderr);
        assert_eq!(machine.files(), [""; 0]);
    });
}

#[test]
fn nothing_that_a_person_types_becomes_shell_syntax() {
    in_every_shell(|machine| {
        machine.program("k0s", &k0s("v1.36.3+k0s.2"));
        let odd = "it's $(touch $RECORD.bad) `touch $RECORD.bad` \"x\" \\ ; & # * ~";
        let setup = Setup {
            arguments: vec![odd.into(), String::new(), "-x".into()],
            download_url: Some(format!("http://{odd}")),
            ..Setup::default()
        };
        let ended = machine.runs(&setup, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.record.contains(&format!(" <{odd}> <> <-x>\n")));
        assert!(!machine.dir.path().join("record.bad").exists());
    });
}

#[test]
fn without_root_sudo_runs_the_script_again_and_a_password_is_not_waited_for() {
    in_every_shell(|machine| {
        machine.program("k0s", &k0s("v1.36.3+k0s.2"));
        machine.program(
            "sudo",
            "#!/bin/sh\n[ \"$1\" != -n ] || { shift; [ -z \"${ASKS-}\" ] || exit 1; }\n\
             USER_ID=0 exec \"$@\"\n",
        );
        let user = ("USER_ID", "1000");
        let ended = machine.runs(&Setup::default(), &[user, ("ASKS", "yes")]);
        assert_eq!(ended.code, 4, "{}", ended.stderr);
        assert!(ended.stderr.contains("asks for a password"));
        assert_eq!(machine.files(), [""; 0]);
        let ended = machine.runs(&Setup::default(), &[user]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.record.ends_with("k0s <start>\n"));
    });
}

#[test]
fn a_machine_for_which_there_is_no_k0s_is_named() {
    in_every_shell(|machine| {
        let ended = machine.runs(&Setup::default(), &[("MACHINE", "riscv64")]);
        assert_eq!(ended.code, 6, "{}", ended.stderr);
        assert!(ended.stderr.contains("riscv64"));
    });
}

#[test]
fn a_cluster_of_unknown_version_needs_the_flag() {
    let unknown = JoinToken {
        version: None,
        ..token()
    };
    let error = script(&unknown, &Setup::default()).unwrap_err();
    assert!(error.hints().concat().contains("--k0s-version"));
}

mod asking;
mod command;
mod downloads;
mod kept;
