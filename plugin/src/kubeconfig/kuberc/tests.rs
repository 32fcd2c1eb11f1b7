use super::*;

const HEAD: &str = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";

fn policy(text: &str) -> Result<Policy, String> {
    Policy::new(&format!("{HEAD}{text}"))
}

fn list(entries: &str) -> String {
    format!("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: {entries}\n")
}

/// A folder that has these programs in it.
fn programs(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let file = folder.path().join(name);
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[test]
fn a_kuberc_says_what_kubectl_takes_it_for() {
    for (text, said) in [
        ("", Policy::AllowAll),
        ("credentialPluginPolicy: AllowAll", Policy::AllowAll),
        ("credentialPluginPolicy: null", Policy::AllowAll),
        ("credentialPluginPolicy: DenyAll", Policy::DenyAll),
        (
            "credentialPluginPolicy: AllowAll\ncredentialPluginPolicy: DenyAll",
            Policy::DenyAll,
        ),
        (
            "credentialPluginPolicy: DenyAll\naliases: [{name: a, command: get}]",
            Policy::DenyAll,
        ),
        (
            "credentialPluginPolicy: DenyAll\n---\ncredentialPluginPolicy: AllowAll",
            Policy::DenyAll,
        ),
    ] {
        assert_eq!(policy(text), Ok(said), "{text}");
    }
    let entries = "[{name: aws}, {command: /opt/login}, {name: a, command: a, more: b}]";
    let names = ["aws", "/opt/login", "a"].map(str::to_owned);
    assert_eq!(policy(&list(entries)), Ok(Policy::Allowlist(names.into())));
    for (text, said) in [
        (String::new(), Policy::AllowAll),
        ("# nothing yet\n".to_owned(), Policy::AllowAll),
        (
            format!("kind: Other\n---\n{HEAD}credentialPluginPolicy: DenyAll\n"),
            Policy::DenyAll,
        ),
        (
            format!("{HEAD}credentialPluginPolicy: DenyAll\n").replace("beta", "alpha"),
            Policy::DenyAll,
        ),
    ] {
        assert_eq!(Policy::new(&text), Ok(said), "{text}");
    }
}

#[test]
fn what_cannot_be_understood_is_no_leave() {
    let unless = "credentialPluginAllowlist means nothing unless credentialPluginPolicy is";
    let none = "credentialPluginAllowlist must name a program";
    for (text, why) in [
        (
            "credentialPluginPolicy: denyall".to_owned(),
            "credentialPluginPolicy must be AllowAll, DenyAll or Allowlist",
        ),
        (
            "credentialPluginPolicy: 5".to_owned(),
            "credentialPluginPolicy must be a string",
        ),
        ("credentialPluginPolicy: Allowlist".to_owned(), none),
        (list("[]"), none),
        (
            list("[{name: a}]").replace(": Allowlist", ": AllowAll"),
            unless,
        ),
        (list("[]").replace(": Allowlist", ": DenyAll"), unless),
        (
            list("[{name: a}, null]"),
            "credentialPluginAllowlist[1] must have a command",
        ),
        (
            list("[{name: '', other: a}]"),
            "credentialPluginAllowlist[0] must have a command",
        ),
        (
            list("[{name: 5}]"),
            "credentialPluginAllowlist[0].name must be",
        ),
        (
            list("[{name: a, command: b}]"),
            "credentialPluginAllowlist[0] must have a command or a name, not both",
        ),
        (
            list("[{name: /opt/../login}]"),
            "credentialPluginAllowlist[0] must be written /login",
        ),
    ] {
        let said = policy(&text).unwrap_err();
        assert!(said.starts_with(why), "{text}: {said}");
    }
    for text in [
        "kind: Config\n",
        "just text",
        "apiVersion: kubectl.config.k8s.io/v2\nkind: Preference\n",
        "a: [\n",
    ] {
        assert!(Policy::new(text).is_err(), "{text}");
    }
}

#[test]
fn a_program_is_allowed_by_its_word_or_its_place() {
    let (first, second) = (programs(&["aws"]), programs(&["aws", "login"]));
    let path = std::env::join_paths([first.path(), second.path()]).unwrap();
    let first = first.path().join("aws").display().to_string();
    let second = |name: &str| second.path().join(name).display().to_string();
    let allows = |entry: &str, command: &str| {
        let command = clean(command);
        let found = located_in(&command, &path).ok();
        Policy::Allowlist(vec![entry.to_owned()]).allows(&command, found.as_deref(), &path)
    };
    for (entry, command) in [
        ("aws", "aws"),
        ("aws", &*first),
        (&*first, "aws"),
        (&*first, &*first),
        (&*second("login"), "login"),
        ("login", &*second("./login")),
        ("absent", "absent"),
    ] {
        assert!(allows(entry, command), "{entry} {command}");
    }
    for (entry, command) in [
        ("aws", "login"),
        ("aws", &*second("aws")),
        (&*second("aws"), "aws"),
        ("absent", "other"),
        ("login", "/elsewhere/login"),
    ] {
        assert!(!allows(entry, command), "{entry} {command}");
    }
}

#[test]
fn a_word_is_a_program_of_path() {
    let (first, second) = (programs(&[]), programs(&["login"]));
    fs::create_dir(first.path().join("login")).unwrap();
    fs::write(second.path().join("plain"), "").unwrap();
    let path = std::env::join_paths([first.path(), second.path()]).unwrap();
    let found = |command: &str, path: &OsStr| located_in(&clean(command), path);
    assert_eq!(found("login", &path).unwrap(), second.path().join("login"));
    assert_eq!(
        found("/a/../b/login", &path).unwrap(),
        Path::new("/b/login")
    );
    for word in ["plain", "absent"] {
        assert!(found(word, &path).is_err(), "{word}");
    }
    // The current folder may be anybody's.
    let here = std::env::current_dir().unwrap();
    let up = here.components().skip(1).map(|_| "..");
    let up: PathBuf = up.collect();
    let away = up.join(second.path().strip_prefix("/").unwrap());
    assert!(away.join("login").exists());
    assert!(found("login", away.as_os_str()).is_err());
}

#[test]
fn a_path_is_written_as_go_writes_it() {
    for (path, whole) in [
        ("", "."),
        ("./a", "a"),
        ("a/../../b", "../b"),
        ("/../a//b/./c/", "/a/b/c"),
        ("/a/..", "/"),
        ("a/..", "."),
    ] {
        assert_eq!(clean(path).as_os_str(), whole, "{path}");
    }
}

#[test]
fn the_file_is_where_kubectl_looks_for_it() {
    let at = |given: &[(&str, &str)]| {
        let variable = |name: &str| {
            let found = given.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).into())
        };
        file(variable, Some("/home/me/.kube".into()))
    };
    let own = Some(("/home/me/.kube/kuberc".into(), false));
    let named = Some(("mine".into(), true));
    for (given, expected) in [
        (&[][..], own.clone()),
        (&[("KUBERC", "")], own.clone()),
        (&[("KUBECTL_KUBERC", "true")], own),
        (&[("KUBERC", "mine")], named),
        (&[("KUBERC", "off")], None),
        (&[("KUBECTL_KUBERC", "False"), ("KUBERC", "mine")], None),
    ] {
        assert_eq!(at(given), expected, "{given:?}");
    }
    assert_eq!(file(|_| None, None), None);
}

#[test]
fn a_program_that_the_file_forbids_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kuberc");
    let login = Path::new("/opt/login");
    let check = |is_named: bool| check_by(&file, is_named, "login", Some(login));
    assert!(check(false).is_ok());
    let error = check(true).unwrap_err();
    assert!(error.to_string().contains("cannot read"), "{error}");
    for (text, why) in [
        (
            "credentialPluginPolicy: DenyAll\n",
            "/opt/login may not be run",
        ),
        (&*list("[{name: aws}]"), "does not name it"),
        ("credentialPluginPolicy: Some\n", "cannot be known"),
    ] {
        fs::write(&file, format!("{HEAD}{text}")).unwrap();
        let error = check(false).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(why), "{said}");
        assert!(said.contains(&file.display().to_string()), "{said}");
        assert_eq!(error.exit().code(), 6);
    }
    fs::write(&file, format!("{HEAD}{}", list("[{name: login}]"))).unwrap();
    assert!(check(false).is_ok());
}
