//! What comes from elsewhere is run by nobody before it is known.

use super::*;

const VERSION: &str = "v1.36.3+k0s.2";
const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One that leaves a mark when it is run for whatever reason.
fn marking() -> String {
    k0s(VERSION).replace("#!/bin/sh\n", "#!/bin/sh\n: >\"$RECORD.ran\"\n")
}

fn from_mirror(sums: &[&str]) -> Setup {
    Setup {
        download_url: Some("http://mirror/k0s-{arch}".into()),
        sums: sums.iter().map(|sum| (*sum).to_owned()).collect(),
        ..Setup::default()
    }
}

fn refused(machine: &Machine, setup: &Setup, environment: &[(&str, &str)], why: &str) {
    let ended = machine.runs(setup, environment);
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    assert!(!machine.dir.path().join("record.ran").exists(), "it ran");
    assert_eq!(machine.files(), [""; 0]);
}

/// Leaves nothing of what fetches but this in place of wget.
fn only_wget(machine: &Machine, version: &str) -> String {
    fs::remove_file(machine.dir.path().join("bin/curl")).unwrap();
    machine.program(
        "wget",
        &format!(
            "#!/bin/sh\n[ \"$1\" != --version ] || {{ {version}; exit; }}\n\
             {{ printf 'wget'; printf ' <%s>' \"$@\"; echo; }} >>\"$RECORD\"\n\
             while [ $# -gt 0 ]; do [ \"$1\" != -O ] || to=$2; url=$1; shift; done\n\
             case $url in */sha256sums.txt) \
             echo \"$(sha256sum <\"$SERVED\" | cut -c1-64) *k0s-v1.36.3+k0s.2-amd64\" ;; \
             *) cat \"$SERVED\" ;; esac >\"$to\"\n"
        ),
    );
    for program in [
        "sh",
        "dash",
        "bash",
        "sed",
        "tr",
        "mkdir",
        "mktemp",
        "rm",
        "mv",
        "cat",
        "cut",
        "head",
        "chmod",
        "sha256sum",
    ] {
        let path = ["/bin", "/usr/bin"].map(|dir| Path::new(dir).join(program));
        if let Some(path) = path.into_iter().find(|path| path.exists()) {
            std::os::unix::fs::symlink(path, machine.dir.path().join("bin").join(program)).unwrap();
        }
    }
    machine.dir.path().join("bin").display().to_string()
}

#[test]
fn what_has_another_sum_than_its_releases_is_not_run() {
    in_every_shell(|machine| {
        machine.file("served", &marking());
        let sum = ("SUM", OTHER);
        refused(&machine, &Setup::default(), &[sum], "SHA-256 sum is ");
        let none = ("SUM", "no sum");
        let why = "/v1.36.3+k0s.2/sha256sums.txt has no sum of k0s-v1.36.3+k0s.2-amd64";
        refused(&machine, &Setup::default(), &[none], why);
        let ended = machine.runs(&Setup::default(), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(machine.dir.path().join("record.ran").exists());
    });
}

#[test]
fn what_has_another_sum_than_was_said_is_not_run_wherever_it_comes_from() {
    in_every_shell(|machine| {
        let served = machine.file("served", &marking());
        refused(&machine, &from_mirror(&[OTHER]), &[], OTHER);
        let offline = Setup {
            binary: Some(served.to_str().unwrap().to_owned()),
            download_url: None,
            ..from_mirror(&[OTHER])
        };
        refused(&machine, &offline, &[], OTHER);
        let ended = machine.runs(&from_mirror(&[OTHER, &sum_of(&served)]), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(!ended.record.contains("sha256sums.txt"), "{}", ended.record);
    });
}

#[test]
fn curl_keeps_to_https_and_waits_for_nobody_who_is_silent() {
    in_every_shell(|machine| {
        let served = machine.file("served", &k0s(VERSION));
        let ended = machine.runs(&Setup::default(), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let asked = |ended: &Ended| -> Vec<String> {
            let calls = ended.record.lines().filter(|line| line.contains(" <-o> "));
            let calls = calls.filter(|line| !line.contains("<-K>"));
            calls.map(str::to_owned).collect()
        };
        let calls = asked(&ended);
        assert_eq!(calls.len(), 2, "{calls:?}");
        for call in calls {
            for words in [
                "<--proto-redir> <=https> ",
                "<--retry-max-time> <3600> <--max-time> <3600> ",
                "<--connect-timeout> <20> <--speed-limit> <1024> <--speed-time> <60> ",
            ] {
                assert!(call.contains(words), "{call}");
            }
        }
        let machine = Machine::new(machine.shell);
        machine.file("served", &k0s(VERSION));
        let ended = machine.runs(&from_mirror(&[&sum_of(&served)]), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let calls = asked(&ended).concat();
        assert!(calls.contains("<--proto-redir> <=http,https> "), "{calls}");
    });
}

#[test]
fn a_wget_that_trusts_everybody_gets_what_has_a_sum_that_was_said() {
    in_every_shell(|machine| {
        let served = machine.file("served", &marking());
        let path = only_wget(&machine, "echo 'wget: unrecognized option' >&2; exit 1");
        let path = ("PATH", path.as_str());
        let why = "name its sum with --k0s-sha256";
        refused(&machine, &Setup::default(), &[path], why);
        let said = Setup {
            sums: vec![sum_of(&served)],
            ..Setup::default()
        };
        let ended = machine.runs(&said, &[path]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        // Some of BusyBox end with a fault of memory when they get more.
        assert!(ended.record.contains("wget <-q> <-O> "), "{}", ended.record);
    });
}

#[test]
fn gnu_wget_does_not_wait_for_ever() {
    in_every_shell(|machine| {
        machine.file("served", &k0s(VERSION));
        let path = only_wget(&machine, "echo GNU Wget 1.21.3 built on linux-gnu.");
        let ended = machine.runs(&Setup::default(), &[("PATH", &path)]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let calls = ended.record.matches("wget <-q> <-T> <60> <-t> <4> <-O> ");
        assert_eq!(calls.count(), 2, "{}", ended.record);
    });
}

#[test]
fn k0s_where_it_is_put_is_found_without_a_way_to_it() {
    in_every_shell(|machine| {
        machine.file("root/usr/local/bin/k0s", &k0s(VERSION));
        let ended = machine.runs(&Setup::default(), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("is there already"),
            "{}",
            ended.stderr
        );
    });
}

#[test]
fn what_never_ends_does_not_fill_the_disk() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/k0s", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[0; 4096]).is_ok() {}
        }
    });
    in_every_shell(|machine| {
        // The real one.
        fs::remove_file(machine.dir.path().join("bin/curl")).unwrap();
        let endless = Setup {
            download_url: Some(url.clone()),
            root: machine.root().to_str().unwrap().to_owned(),
            ..from_mirror(&[OTHER])
        };
        // Nobody asks about its token.
        let token = JoinToken {
            role: Role::Controller,
            ..token()
        };
        let text = script(&token, &endless).unwrap();
        let path = machine.file("join.sh", &text.replace("-f 2097152", "-f 2048"));
        let ended = machine.shell(
            &[path.to_str().unwrap()],
            &[("NO_PROXY", "*"), ("no_proxy", "*")],
        );
        assert_eq!(ended.code, 5, "{}", ended.stderr);
        let said = format!("the download of {url} failed");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert_eq!(machine.files(), [""; 0]);
    });
}
