use super::*;
use crate::tokens::Role;

fn token() -> JoinToken {
    JoinToken {
        request: "demo-worker-x7k2p".into(),
        namespace: "team-a".into(),
        cluster: "demo".into(),
        role: Role::Worker,
        token_id: Some("a1b2c3".into()),
        expires_at: Some("2026-11-23T10:00:00Z".into()),
        version: Some("v1.36.3+k0s.2".into()),
        token: "H4sIAAAA+/8=".into(),
    }
}

/// Words that would be more than words if anything forgot to quote them.
fn awkward() -> Setup {
    Setup {
        arguments: vec![
            "--kubelet-extra-args".into(),
            "--a=it's $(reboot) `reboot` \"x\" \\ ; # : {} ü".into(),
        ],
        ..Setup::default()
    }
}

#[test]
fn the_command_is_one_line_that_keeps_the_token_private() {
    let command = token().command(&Setup::default(), false).unwrap();
    assert_eq!(command.lines().count(), 1);
    insta::assert_snapshot!(command, @"printf %s 'H4sIAAAA+/8=' | $(command -v sudo) sh -c '(umask 077 && mkdir -p /etc/k0s && cat > /etc/k0s/demo-worker.token) && { command -v k0s >/dev/null || curl -sSfL https://get.k0s.sh | K0S_VERSION=v1.36.3+k0s.2 sh; } && k0s install worker --token-file /etc/k0s/demo-worker.token && k0s start'");
}

#[test]
fn in_the_foreground_k0s_takes_the_shells_place() {
    let command = token().command(&Setup::default(), true).unwrap();
    assert!(command.ends_with("&& exec k0s worker --token-file /etc/k0s/demo-worker.token'"));
}

#[test]
fn without_a_version_the_installer_takes_its_newest() {
    let unknown = JoinToken {
        version: None,
        ..token()
    };
    let command = unknown.command(&Setup::default(), false).unwrap();
    assert!(command.contains("https://get.k0s.sh | sh;"));
}

#[test]
fn what_the_command_cannot_do_is_refused_with_the_form_that_can() {
    let offline = Setup {
        binary: Some("/opt/k0s".into()),
        ..Setup::default()
    };
    let error = token().command(&offline, false).unwrap_err();
    assert!(error.hints().concat().contains("-o script"), "{error}");
}

#[test]
fn a_shell_reads_the_command_as_it_is_meant() {
    // Everything that the command runs is replaced by programs that record; only the shell
    // itself is real.
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path();
    let record = "#!/bin/sh\n{ basename \"$0\"; printf '<%s>' \"$@\"; echo; } >> \"$RECORD\"\n";
    for program in ["k0s", "mkdir"] {
        let path = bin.join(program);
        std::fs::write(&path, record).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
    }
    let file = bin.join("token");
    let line = token()
        .command(&awkward(), false)
        .unwrap()
        .replace("/etc/k0s/demo-worker.token", file.to_str().unwrap())
        .replace("$(command -v sudo)", "");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let status = std::process::Command::new("sh")
        .args(["-c", &line])
        .env("PATH", path)
        .env("RECORD", bin.join("record"))
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "H4sIAAAA+/8=");
    let metadata = std::fs::metadata(&file).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    assert_eq!(mode & 0o777, 0o600);
    let record = std::fs::read_to_string(bin.join("record")).unwrap();
    let file = file.display();
    let odd = &awkward().arguments[1];
    assert_eq!(
        record,
        format!(
            "mkdir\n<-p></etc/k0s>\n\
             k0s\n<install><worker><--token-file><{file}><--kubelet-extra-args><{odd}>\n\
             k0s\n<start>\n"
        )
    );
}

#[test]
fn cloud_init_is_yaml_that_has_the_script_to_the_letter() {
    let text = token().cloud_init(&awkward()).unwrap();
    assert!(text.starts_with("#cloud-config\n"));
    let parsed: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let file = &parsed["write_files"][0];
    assert_eq!(file["permissions"], "0700");
    let unattended = Setup {
        unattended: true,
        ..awkward()
    };
    let script = script::script(&token(), &unattended).unwrap();
    assert_eq!(file["content"].as_str().unwrap(), script);
    assert_eq!(parsed["runcmd"], json!([["sh", "/run/k0s-join-demo.sh"]]));
}

#[test]
fn ignition_has_the_script_for_root_alone_and_a_unit_that_runs_it_once() {
    let text = token().ignition(&awkward()).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let file = &parsed["storage"]["files"][0];
    assert_eq!(file["mode"], 448);
    let source = file["contents"]["source"].as_str().unwrap();
    let encoded = source.strip_prefix("data:;base64,").unwrap();
    let script = script::script(&token(), &awkward()).unwrap();
    assert_eq!(STANDARD.decode(encoded).unwrap(), script.as_bytes());
    insta::assert_snapshot!(parsed["systemd"]["units"][0]["contents"].as_str().unwrap(), @r"
    [Unit]
    Description=Join cluster team-a/demo as a worker
    Wants=network-online.target
    After=network-online.target
    ConditionPathExists=/etc/k0s-join-demo.sh

    [Service]
    ExecStart=/bin/sh /etc/k0s-join-demo.sh
    ExecStartPost=/bin/rm -f /etc/k0s-join-demo.sh
    Type=oneshot
    RemainAfterExit=yes
    Restart=on-failure
    RestartSec=15
    RestartPreventExitStatus=3 4 6 7

    [Install]
    WantedBy=multi-user.target
    ");
}

#[test]
fn the_unit_has_the_script_as_its_input() {
    let text = token().systemd(&awkward()).unwrap();
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("StandardInputData="))
        .unwrap();
    let script = script::script(&token(), &awkward()).unwrap();
    assert_eq!(STANDARD.decode(data).unwrap(), script.as_bytes());
    insta::assert_snapshot!(text.replace(data, "..."), @r"
    # /etc/systemd/system/k0s-join-demo.service, readable by root alone:
    # it holds a secret that is good until 2026-11-23T10:00:00Z.
    [Unit]
    Description=Join cluster team-a/demo as a worker
    Wants=network-online.target
    After=network-online.target
    ConditionPathExists=!/etc/systemd/system/k0sworker.service

    [Service]
    StandardInput=data
    StandardInputData=...
    ExecStart=/bin/sh
    Type=oneshot
    RemainAfterExit=yes
    Restart=on-failure
    RestartSec=15
    RestartPreventExitStatus=3 4 6 7

    [Install]
    WantedBy=multi-user.target
    ");
}
