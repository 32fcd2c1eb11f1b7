//! The cluster is asked about the token.

use super::*;

#[test]
fn the_cluster_is_asked_about_the_token_before_anything_is_changed() {
    let other = |text: &str| JoinToken {
        token: text.to_owned(),
        ..token()
    };
    let unquoted = KUBECONFIG.replace('\'', "");
    // Names are whoever's who writes the Secret.
    let named = KUBECONFIG.replace("clusters:", "x: 'a,server: http://x,token: y'\nclusters:");
    in_every_shell(|machine| {
        machine.program("k0s", &k0s("v1.36.3+k0s.2"));
        for token in [token(), other(&packed(&unquoted)), other(&packed(&named))] {
            let ended = machine.runs_with(&token, &Setup::default(), &[("FAILING", "install")]);
            assert_eq!(ended.code, 1, "{}", ended.stderr);
            let mut asked = ended.record.lines();
            let call = asked.next().unwrap();
            assert!(call.ends_with(" <--> <https://demo:6443/api>"), "{call}");
            assert!(!call.contains("0123456789abcdef"), "{call}");
            let header = "header = \"Authorization: Bearer 123456.0123456789abcdef\"";
            assert_eq!(asked.next(), Some(header));
            fs::remove_file(machine.dir.path().join("record")).unwrap();
        }

        for broken in ["", "H4sIAAAA+/8=", "not base64", &packed("kind: Config\n")] {
            let ended = machine.runs_with(&other(broken), &Setup::default(), &[]);
            assert_eq!(ended.code, 7, "{}", ended.stderr);
            assert!(ended.stderr.contains("not whole"), "{}", ended.stderr);
            assert_eq!(ended.record, "");
        }
        let ended = machine.runs(&Setup::default(), &[("ANSWER", "401")]);
        assert_eq!(ended.code, 7, "{}", ended.stderr);
        assert!(ended.stderr.contains("does not take the join token"));
        let away = ("AWAY", "Connection refused");
        let ended = machine.runs(&Setup::default(), &[away]);
        assert_eq!(ended.code, 8, "{}", ended.stderr);
        assert!(
            ended
                .stderr
                .contains("https://demo:6443: (7) Connection refused")
        );
        assert_eq!(machine.files(), [""; 0]);

        let unattended = Setup {
            unattended: true,
            ..Setup::default()
        };
        let ended = machine.runs(&unattended, &[away]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("k0s goes on trying"));
    });
}

#[test]
fn a_machine_without_curl_joins_without_being_asked_first() {
    in_every_shell(|machine| {
        let ended = {
            machine.program("k0s", &k0s("v1.36.3+k0s.2"));
            fs::remove_file(machine.dir.path().join("bin/curl")).unwrap();
            // Only what a small system has.
            for program in [
                "sh", "dash", "bash", "sed", "tr", "mkdir", "rm", "cat", "head", "dirname",
                "base64", "gunzip",
            ] {
                let path = ["/bin", "/usr/bin"].map(|dir| Path::new(dir).join(program));
                if let Some(path) = path.into_iter().find(|path| path.exists()) {
                    std::os::unix::fs::symlink(path, machine.dir.path().join("bin").join(program))
                        .unwrap();
                }
            }
            let path = machine.dir.path().join("bin");
            machine.runs(&Setup::default(), &[("PATH", path.to_str().unwrap())])
        };
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("no curl to try the token with"),
            "{}",
            ended.stderr
        );
    });
}

#[test]
fn curl_takes_the_address_by_the_letter_and_does_not_wait_for_ever() {
    in_every_shell(|machine| {
        machine.program("k0s", &k0s("v1.36.3+k0s.2"));
        let ended = machine.runs(&Setup::default(), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let asked = ended.record.lines().find(|line| line.contains("<-K>"));
        let asked = asked.unwrap_or_else(|| panic!("{}", ended.record));
        assert!(asked.contains("curl <-gsS> "), "{asked}");
        assert!(asked.contains(" <--max-time> <30> "), "{asked}");
    });
}

#[test]
fn what_a_step_says_is_written_as_it_is() {
    in_every_shell(|machine| {
        let setup = Setup {
            download_url: Some("https://mirror/\\033[8m\\c".into()),
            sums: vec!["0".repeat(64)],
            ..Setup::default()
        };
        let ended = machine.runs(&setup, &[]);
        assert_ne!(ended.code, 0, "{}", ended.stderr);
        for line in ["join: downloading ", "error: the download of "] {
            let whole = format!("{line}https://mirror/\\033[8m\\c");
            assert!(ended.stderr.contains(&whole), "{}", ended.stderr);
        }
    });
}
