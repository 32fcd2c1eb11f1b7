use super::*;

fn new(text: &str) -> Result<Kubeconfig, String> {
    Kubeconfig::new(&tree(text)?, Path::new("/home/me/.kube"))
}

#[test]
fn an_error_names_the_place_and_not_what_is_there() {
    for (text, said) in [
        (
            "users:\n- name: u\n  user: {token: 123}",
            "users[0].user.token must be a string",
        ),
        (
            "users:\n- name: u\n  user: {as-groups: secret}",
            "users[0].user.as-groups must be a sequence",
        ),
        (
            "users:\n- name: u\n  user: {client-key-data: '@secret'}",
            "users[0].user.client-key-data must be base64",
        ),
        ("users:\n- name: 12", "users[0].name must be a string"),
        ("clusters: {a: b}", "clusters must be a sequence"),
        (
            "clusters:\n- name: a\n- name: a",
            "clusters: Duplicate value: \"a\"",
        ),
        ("kind: Pod", "kind must be Config"),
        ("- a", "it must be a mapping of keys to values"),
    ] {
        let Err(why) = new(text) else {
            panic!("{text}");
        };
        assert_eq!(why, said, "{text}");
    }
}

#[test]
fn paths_are_those_from_the_file_on() {
    let read = new(
        "users:\n- name: u\n  user: {tokenFile: t, client-key: /k, client-certificate: '', exec: {command: bin/login}}\n\
         - name: v\n  user: {exec: {command: login}}\n",
    )
    .unwrap();
    let user = find(&read.users, "u").unwrap();
    assert_eq!(user.token_file, "/home/me/.kube/t");
    assert_eq!((&*user.client_key, &*user.client_certificate), ("/k", ""));
    let command = |name| {
        &find(&read.users, name)
            .unwrap()
            .exec
            .as_ref()
            .unwrap()
            .command
    };
    assert_eq!(
        (&**command("u"), &**command("v")),
        ("/home/me/.kube/bin/login", "login")
    );
}

#[test]
fn one_login_may_serve_any_number_of_users() {
    let first = "users:\n- name: u0\n  user: &sso {exec: {command: login}}\n";
    let others = (1..=1000).map(|number| format!("- {{name: u{number}, user: *sso}}\n"));
    let others: Vec<String> = others.collect();
    let read = new(&format!("{first}{}", others.concat())).unwrap();
    let user = find(&read.users, "u1000").unwrap();
    assert_eq!(user.exec.as_ref().unwrap().command, "login");
}

#[test]
fn the_first_file_to_say_something_counts() {
    let mut read = new("current-context: ''\nusers: [{name: u, user: {token: a}}]").unwrap();
    read.and(new("current-context: c\nusers: [{name: u, user: {token: b}}, {name: v}]").unwrap());
    read.and(new("current-context: d").unwrap());
    assert_eq!(read.current, "c");
    assert_eq!(find(&read.users, "u").unwrap().token, "a");
    assert_eq!(read.users.len(), 2);
}

#[test]
fn no_bytes_end_in_a_panic() {
    for bytes in [
        &[0xFF, 0xFE, 0][..],
        &[0xFE, 0xFF, 0xD8, 0],
        &[0xC3, 0x28],
        &[0xFF],
    ] {
        assert!(decode(bytes).is_err(), "{bytes:?}");
    }
    assert_eq!(decode(&[0xEF, 0xBB, 0xBF, b'a']).unwrap(), "a");
    assert_eq!(decode(&[0xFF, 0xFE, b'a', 0]).unwrap(), "a");
}
