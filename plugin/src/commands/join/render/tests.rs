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
fn the_command_can_be_pasted_and_has_the_script_to_the_letter() {
    let command = token().command(&awkward()).unwrap();
    let longest = command.lines().map(str::len).max();
    assert_eq!(longest, Some(76), "{command}");
    let packed = command.split('\'').nth(1).unwrap().replace('\n', "");
    let packed = STANDARD.decode(packed).unwrap();
    let mut script = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed), &mut script)
        .unwrap();
    assert_eq!(script, script::script(&token(), &awkward()).unwrap());
    assert!(!command.contains(&token().token));
}

#[test]
fn cloud_init_is_yaml_that_has_the_script_to_the_letter() {
    let text = token().cloud_init(&awkward()).unwrap();
    assert!(text.starts_with("#cloud-config\n"));
    let parsed: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let file = &parsed["write_files"][0];
    assert_eq!(file["path"], "/etc/k0s-join-demo.sh");
    assert_eq!(file["permissions"], "0700");
    let unattended = Setup {
        unattended: true,
        kept: Some("/etc/k0s-join-demo.sh".into()),
        ..awkward()
    };
    let script = script::script(&token(), &unattended).unwrap();
    assert_eq!(file["content"].as_str().unwrap(), script);
    let service = &parsed["write_files"][1];
    assert_eq!(service["path"], "/etc/systemd/system/k0s-join-demo.service");
    let ignition = token().ignition(&awkward()).unwrap();
    let ignition: serde_json::Value = serde_json::from_str(&ignition).unwrap();
    assert_eq!(
        service["content"],
        ignition["systemd"]["units"][0]["contents"]
    );
    assert_eq!(parsed["runcmd"][0][0], "sh");
    assert_eq!(parsed["runcmd"][0][1], "-c");
    insta::assert_snapshot!(parsed["runcmd"][0][2].as_str().unwrap(), @r"
    if [ -d /run/systemd/system ] && systemctl daemon-reload &&
      systemctl enable --now --no-block k0s-join-demo.service; then exit; fi
    sh /etc/k0s-join-demo.sh || { code=$?; rm -f /etc/k0s-join-demo.sh; exit $code; }
    ");
    assert_eq!(
        parsed["merge_how"],
        json!([{"name": "list", "settings": ["append"]},
            {"name": "dict", "settings": ["no_replace", "recurse_list"]}])
    );
}

#[test]
fn ignition_has_the_script_for_root_alone_and_a_unit_that_runs_it_once() {
    let text = token().ignition(&awkward()).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let file = &parsed["storage"]["files"][0];
    assert_eq!(file["mode"], 448);
    let source = file["contents"]["source"].as_str().unwrap();
    let encoded = source.strip_prefix("data:;base64,").unwrap();
    let kept = Setup {
        kept: Some("/etc/k0s-join-demo.sh".into()),
        ..awkward()
    };
    let script = script::script(&token(), &kept).unwrap();
    assert_eq!(STANDARD.decode(encoded).unwrap(), script.as_bytes());
    insta::assert_snapshot!(parsed["systemd"]["units"][0]["contents"].as_str().unwrap(), @r"
    [Unit]
    Description=Join cluster team-a/demo as a worker
    Wants=network-online.target
    After=network-online.target
    ConditionPathExists=/etc/k0s-join-demo.sh

    [Service]
    ExecStart=/bin/sh /etc/k0s-join-demo.sh
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
