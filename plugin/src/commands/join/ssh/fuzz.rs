//! Machines as they are named, and what they say.

use super::failure::{Failure, last};
use super::host::Host;

#[test]
fn names_of_machines() {
    let seeds = [
        "root@node-1",
        "me@[fd00::1]:22",
        "10.0.0.1:2222",
        "fe80::1%eth0",
        "a\\b@c",
    ];
    let words = &[
        "-oProxyCommand=sh",
        "@",
        "[",
        "]",
        ":",
        "65536",
        "0",
        "%",
        "-",
        " ",
        "$(id)",
        ";",
        "'",
    ];
    fuzz::check!(fuzz::text(seeds, words), |text: &str| {
        if let Ok(host) = text.parse::<Host>() {
            let shown = host.to_string();
            assert_eq!(shown.parse::<Host>().as_ref(), Ok(&host), "{shown}");
            assert!(!shown.starts_with('-'), "{shown}");
            let fits = |c: char| c.is_ascii_alphanumeric() || "@-_.+\\:%[]".contains(c);
            assert!(shown.chars().all(fits), "{shown}");
        }
    });
}

#[test]
fn last_words_of_machines() {
    let seeds = [
        "No ED25519 host key is known for node-1\nHost key verification failed.",
        "motd\nerror: this needs root\nConnection to node-1 closed.",
        "root@node-1: Permission denied (publickey).",
    ];
    let words = &[
        "error: ",
        "\n",
        " ",
        "IDENTIFICATION HAS CHANGED",
        "host key for",
        "has changed",
    ];
    fuzz::check!(fuzz::text(seeds, words), |text: &str| {
        let said: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(
            !last(&said).trim().is_empty() || text.contains("error: "),
            "{text:?}"
        );
        for code in [None, Some(255), Some(1), Some(4), Some(137), Some(143)] {
            let failure = Failure::from_exit(code, &said);
            let _ = (
                failure.to_string(),
                failure.hint(),
                failure.exit(),
                failure.may_go_on(),
            );
        }
    });
}
