//! The command for a shell, as the shells read it.

use super::*;

const VERSION: &str = "v1.36.3+k0s.2";

fn machine(shell: &'static str) -> Machine {
    let machine = Machine::new(shell);
    machine.program("sudo", "#!/bin/sh\nexec \"$@\"\n");
    machine
}

fn line(machine: &Machine, foreground: bool) -> String {
    let setup = Setup {
        root: machine.root().to_str().unwrap().to_owned(),
        arguments: vec!["--x=it's $(reboot) `reboot` \"x\" \\ ; #".into()],
        foreground,
        ..Setup::default()
    };
    token().command(&setup).unwrap()
}

fn runs(machine: &Machine, line: &str) -> Ended {
    machine.shell(&["-c", line], &[])
}

#[test]
fn another_k0s_that_is_there_is_not_taken() {
    in_every_shell(|Machine { shell, .. }| {
        let machine = machine(shell);
        machine.program("k0s", &k0s("v1.30.0+k0s.0"));
        machine.file(
            "served",
            &k0s(VERSION).replace("printf 'k0s'", "printf 'new'"),
        );
        let ended = runs(&machine, &line(&machine, false));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let odd = " <--x=it's $(reboot) `reboot` \"x\" \\ ; #>\nnew <start>\n";
        assert!(ended.record.ends_with(odd), "{}", ended.record);
        assert!(
            ended
                .record
                .contains("\nnew <install> <worker> <--token-file> ")
        );
    });
}

#[test]
fn a_download_that_fails_is_a_failure_and_leaves_nothing() {
    in_every_shell(|Machine { shell, .. }| {
        let machine = machine(shell);
        let ended = runs(&machine, &line(&machine, false));
        assert_eq!(ended.code, 5, "{}", ended.stderr);
        assert_eq!(machine.files(), [""; 0]);
    });
}

#[test]
fn a_line_that_did_not_arrive_whole_does_nothing() {
    in_every_shell(|Machine { shell, .. }| {
        let machine = machine(shell);
        machine.program("k0s", &k0s(VERSION));
        let line = line(&machine, false);
        let (packed, rest) = line.split_once("' | base64").unwrap();
        let (first, others) = packed.split_at(packed.find("H4sI").unwrap() + 77);
        for cut in [
            &packed[..packed.len() / 2],
            &packed[..packed.len() - 9],
            &format!("{first}{}", &others[77..]),
        ] {
            for end in ["'", ""] {
                let ended = runs(&machine, &format!("{cut}{end} | base64{rest}"));
                assert_ne!(ended.code, 0, "{}", ended.stderr);
                assert_eq!(ended.record, "");
            }
        }
        let ended = runs(&machine, &line.replace("gunzip", "no-gunzip"));
        assert_eq!(ended.code, 127, "{}", ended.stderr);
        assert_eq!(ended.record, "");
    });
}

#[test]
fn in_the_foreground_k0s_takes_the_shells_place() {
    in_every_shell(|Machine { shell, .. }| {
        let machine = machine(shell);
        machine.file("root/usr/local/bin/k0s", "an old one");
        machine.file("served", &k0s(VERSION));
        let ended = runs(&machine, &line(&machine, true));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let call = ended.record.lines().last().unwrap();
        assert!(call.starts_with("k0s <worker> <--token-file> "), "{call}");
        assert_eq!(machine.files(), [TOKEN_FILE, "usr/local/bin/k0s"]);
        assert!(!ended.stdout.contains("node: "), "{}", ended.stdout);
    });
}

#[test]
fn an_alias_of_sudo_is_not_in_the_way() {
    in_every_shell(|Machine { shell, .. }| {
        let machine = machine(shell);
        machine.program("k0s", &k0s(VERSION));
        let line = format!("alias sudo='sudo '\n{}", line(&machine, false));
        let ended = runs(&machine, &line);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.record.ends_with("k0s <start>\n"), "{}", ended.record);
    });
}
