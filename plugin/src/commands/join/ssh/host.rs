//! Where a machine is, and how OpenSSH is told to go there.

use std::ffi::OsString;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::SshArgs;

/// `[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    user: Option<String>,
    name: String,
    port: Option<u16>,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!("\"{text}\" must be [user@]host[:port], such as root@node-1 or me@[fd00::1]:22")
        };
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let (name, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']').ok_or_else(bad)?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':').ok_or_else(bad)?),
                };
                (name, port)
            }
            None => match rest.split_once(':') {
                // More than one colon is an address of version 6.
                Some((_, port)) if port.contains(':') => (rest, None),
                Some((name, port)) => (name, Some(port)),
                None => (rest, None),
            },
        };
        let word = |word: &str, others: &str| {
            !word.is_empty()
                && !word.starts_with('-')
                && word
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
        };
        // With a colon it is an address, or what stands behind the colon would look like a port.
        let address = name.split('%').next().unwrap_or_default();
        let is_address = !name.contains(':') || address.parse::<Ipv6Addr>().is_ok();
        if !is_address || !word(name, "-_.:%") || !user.is_none_or(|user| word(user, "-_.+\\@")) {
            return Err(bad());
        }
        let port = match port.map(str::parse::<u16>) {
            Some(Ok(0) | Err(_)) => return Err(bad()),
            Some(Ok(port)) => Some(port),
            None => None,
        };
        Ok(Self {
            user: user.map(str::to_owned),
            name: name.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match (&self.port, self.name.contains(':')) {
            (Some(port), true) => write!(f, "[{}]:{port}", self.name),
            (Some(port), false) => write!(f, "{}:{port}", self.name),
            (None, _) => f.write_str(&self.name),
        }
    }
}

/// The arguments of `ssh` that run this command there. The first value of an option counts, so
/// that no option of the user's turns questions on or the check of host keys off.
pub fn arguments(host: &Host, args: &SshArgs, command: String) -> Vec<OsString> {
    let check = if args.accept_new_host_keys {
        "StrictHostKeyChecking=accept-new"
    } else {
        "StrictHostKeyChecking=yes"
    };
    let mut options: Vec<OsString> = vec!["BatchMode=yes".into(), check.into()];
    if let Some(path) = &args.known_hosts {
        let mut option = OsString::from("UserKnownHostsFile=\"");
        option.push(path);
        option.push("\"");
        options.push(option);
    }
    options.extend(args.ssh_options.iter().map(OsString::from));
    options.extend(
        [
            "ConnectTimeout=15",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "LogLevel=ERROR",
        ]
        .map(OsString::from),
    );
    let mut words: Vec<OsString> = vec!["-T".into()];
    for option in options {
        words.extend(["-o".into(), option]);
    }
    if let Some(identity) = &args.identity {
        words.extend(["-i".into(), identity.into()]);
    }
    if let Some(port) = host.port {
        words.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(user) = &host.user {
        words.extend(["-l".into(), user.into()]);
    }
    words.extend(["--".into(), OsString::from(&host.name), command.into()]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, String, Option<u16>) {
        let host: Host = text.parse().unwrap();
        (host.user, host.name, host.port)
    }

    #[test]
    fn machines_are_named_as_for_ssh() {
        let user = Some("root".to_owned());
        assert_eq!(parts("node-1"), (None, "node-1".into(), None));
        assert_eq!(
            parts("root@10.0.0.7:2222"),
            (user.clone(), "10.0.0.7".into(), Some(2222))
        );
        assert_eq!(
            parts("root@fd00::1"),
            (user.clone(), "fd00::1".into(), None)
        );
        assert_eq!(
            parts("root@[fd00::1]:22"),
            (user, "fd00::1".into(), Some(22))
        );
    }

    #[test]
    fn what_ssh_would_take_for_an_option_or_a_shell_for_syntax_is_no_machine() {
        for text in [
            "",
            "@node",
            "-oProxyCommand=x",
            "root@-x",
            "-x@node",
            "node:0",
            "node:x",
            "a b",
            "node;reboot",
            "$(x)",
            "[fd00::1",
            "node:70000",
            "me@[fd:1]",
            "[node:1]:22",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_asked_and_host_keys_are_checked_whatever_the_user_adds() {
        let args = SshArgs {
            ssh_options: vec!["StrictHostKeyChecking=no".into()],
            identity: Some("/keys/my key".into()),
            known_hosts: Some("/my known/hosts".into()),
            ..SshArgs::default()
        };
        let host = "root@node-1:2222".parse().unwrap();
        let words = arguments(&host, &args, "sh".to_owned());
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        insta::assert_snapshot!(words.join("|"), @r#"-T|-o|BatchMode=yes|-o|StrictHostKeyChecking=yes|-o|UserKnownHostsFile="/my known/hosts"|-o|StrictHostKeyChecking=no|-o|ConnectTimeout=15|-o|ServerAliveInterval=15|-o|ServerAliveCountMax=4|-o|LogLevel=ERROR|-i|/keys/my key|-p|2222|-l|root|--|node-1|sh"#);
    }
}
