use crate::kubeconfig::merge::entry::*;

/// What the controller writes, with these fields besides: each a place and a value.
fn with(more: &[(&str, Value)]) -> String {
    let mut tree = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "demo-admin@demo-k0s",
        "preferences": {},
        "clusters": [{"name": "demo-k0s", "cluster": {
            "server": "https://10.0.0.7:31443", "certificate-authority-data": "Q0E="}}],
        "users": [{"name": "demo-admin", "user": {
            "client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}}],
        "contexts": [{"name": "demo-admin@demo-k0s",
            "context": {"cluster": "demo-k0s", "user": "demo-admin"}}],
    });
    for (place, value) in more {
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = tree.pointer_mut(parent).unwrap();
        parent[key] = value.clone();
    }
    tree.to_string()
}

fn refused(more: &[(&str, Value)]) -> String {
    let text = with(more);
    let problem = Entry::current(&text).unwrap_err();
    assert!(matches!(problem, Problem::Forbidden { .. }), "{problem:?}");
    problem.to_string()
}

#[test]
fn what_the_controller_writes_comes_out_as_it_is() {
    let text = with(&[]);
    let entry = Entry::current(&text).unwrap();
    let before: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(entry.whole(), before);
    assert_eq!(entry.server(), "https://10.0.0.7:31443");
}

#[test]
fn all_that_is_known_to_be_harmless_stays() {
    let text = with(&[
        (
            "/clusters/0/cluster/tls-server-name",
            json!("demo.team-a.svc"),
        ),
        ("/users/0/user", json!({"token": "a1b2c3.x"})),
        ("/contexts/0/context/namespace", json!("web")),
    ]);
    let before: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(Entry::current(&text).unwrap().whole(), before);
}

#[test]
fn fields_that_say_nothing_are_left_out() {
    let text = with(&[
        ("/users/0/user/exec", Value::Null),
        ("/users/0/user/as-groups", json!([])),
        ("/clusters/0/cluster/proxy-url", json!("")),
        ("/clusters/0/cluster/insecure-skip-tls-verify", json!(false)),
        ("/contexts/0/context/namespace", json!("")),
        ("/extensions", json!([])),
    ]);
    let clean = Entry::current(&with(&[])).unwrap();
    assert_eq!(Entry::current(&text).unwrap(), clean);
}

#[test]
fn what_names_programs_files_proxies_or_other_people_is_refused_by_its_name() {
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh"});
    let provider = json!({"name": "gcp", "config": {"cmd-path": "/bin/sh"}});
    let user = "client-certificate-data, client-key-data, token";
    let cluster = "server, certificate-authority-data, tls-server-name";
    for (list, field, value, allowed) in [
        ("users/0/user", "exec", exec, user),
        ("users/0/user", "auth-provider", provider, user),
        ("users/0/user", "tokenFile", json!("/etc/shadow"), user),
        ("users/0/user", "client-certificate", json!("/x"), user),
        ("users/0/user", "client-key", json!("/x"), user),
        ("users/0/user", "username", json!("u"), user),
        ("users/0/user", "password", json!("p"), user),
        ("users/0/user", "as", json!("root"), user),
        ("users/0/user", "as-uid", json!("0"), user),
        ("users/0/user", "as-groups", json!(["system:masters"]), user),
        ("users/0/user", "as-user-extra", json!({"a": ["b"]}), user),
        ("users/0/user", "extensions", json!([{"name": "x"}]), user),
        ("users/0/user", "Exec", json!({"command": "sh"}), user),
        (
            "clusters/0/cluster",
            "certificate-authority",
            json!("/x"),
            cluster,
        ),
        (
            "clusters/0/cluster",
            "proxy-url",
            json!("socks5://x"),
            cluster,
        ),
        (
            "clusters/0/cluster",
            "insecure-skip-tls-verify",
            json!(true),
            cluster,
        ),
        (
            "clusters/0/cluster",
            "disable-compression",
            json!(true),
            cluster,
        ),
        (
            "clusters/0/cluster",
            "extensions",
            json!([{"name": "x"}]),
            cluster,
        ),
        (
            "contexts/0/context",
            "extensions",
            json!([{"name": "x"}]),
            "cluster, user, namespace",
        ),
        ("users/0", "exec", json!({"command": "sh"}), "name"),
    ] {
        let said = refused(&[(&format!("/{list}/{field}"), value)]);
        let place = format!("{list}.{field}")
            .replace("/0", "[0]")
            .replace('/', ".");
        let expected = format!("{place}: is forbidden; only {allowed} may be there");
        assert_eq!(said, expected);
    }
    let said = refused(&[("/preferences", json!({"colors": true}))]);
    assert!(said.starts_with("preferences: is forbidden"), "{said}");
}

#[test]
fn texts_that_are_no_such_thing_are_refused() {
    let long = "x".repeat(300);
    for (place, value) in [
        ("/clusters/0/cluster/server", json!("http://10.0.0.7:31443")),
        ("/clusters/0/cluster/server", json!("file:///etc/shadow")),
        ("/clusters/0/cluster/server", json!("https://")),
        (
            "/clusters/0/cluster/server",
            json!("https://me:secret@10.0.0.7"),
        ),
        ("/clusters/0/cluster/server", json!("https://10.0.0.7/?x")),
        ("/clusters/0/cluster/server", json!("https://a\u{1b}[2J")),
        ("/clusters/0/cluster/server", json!(["https://a"])),
        ("/clusters/0/cluster/server", json!("https://a/{b,c}")),
        ("/clusters/0/cluster/server", json!("https://a/[1-99]")),
        ("/clusters/0/cluster/server", json!("https://a/\\c")),
        ("/clusters/0/cluster/server", json!("https://a/$(reboot)")),
        ("/clusters/0/cluster/server", json!("https://a'b")),
        ("/clusters/0/cluster/server", json!("https://a/#b")),
        ("/clusters/0/cluster/server", json!("https://a#b")),
        (
            "/clusters/0/cluster/server",
            json!("https://a:6443#\u{1b}]0;x\n$(reboot)"),
        ),
        ("/clusters/0/cluster/server", json!("https://a#\u{202e}")),
        ("/clusters/0/cluster/server", json!("https://a?x")),
        ("/users/0/user/token", json!("a\"b")),
        ("/contexts/0/name", json!("a\u{202e}b")),
        (
            "/clusters/0/cluster/certificate-authority-data",
            json!("/etc/passwd"),
        ),
        ("/clusters/0/cluster/certificate-authority-data", json!(7)),
        ("/clusters/0/cluster/tls-server-name", json!("a\nb")),
        ("/users/0/user/token", json!("a\r\nImpersonate-User: root")),
        ("/users/0/user/client-key-data", json!("../key")),
        ("/contexts/0/context/namespace", json!("../..")),
        ("/contexts/0/name", json!("\u{1b}]0;owned\u{7}")),
        ("/users/0/name", json!(long)),
        ("/current-context", json!("a\nb")),
    ] {
        let said = refused(&[(place, value)]);
        let dotted = place[1..].replace("/0", "[0]").replace('/', ".");
        assert!(said.starts_with(&format!("{dotted}: must be ")), "{said}");
        assert!(said.len() < 120, "{said}");
    }
}

#[test]
fn addresses_may_have_numbers_ports_and_a_path() {
    for server in [
        "https://10.0.0.7:6443",
        "https://[fd00::7]:6443",
        "https://api.example.org/k8s/clusters/c-1%20x/~a_b/",
    ] {
        assert!(is_address(server), "{server}");
    }
}

#[test]
fn no_key_of_theirs_begins_a_line() {
    let said = refused(&[("/users/0/user/a\nhint: sh", json!("x"))]);
    assert!(said.starts_with("users[0].user.a hint: sh: "), "{said}");
}

#[test]
fn there_is_one_of_each_so_that_all_who_read_it_mean_the_same() {
    let two = json!([{"name": "demo-admin", "user": {"token": "a"}},
        {"name": "demo-admin", "user": {"exec": {"command": "sh"}}}]);
    assert_eq!(
        refused(&[("/users", two)]),
        "users: must be one, and there are 2"
    );
    let double = with(&[]).replacen("\"user\":", "\"user\":{\"exec\":{}},\"user\":", 1);
    assert!(Entry::current(&double).is_err(), "{double}");
    for more in [
        ("/users/0/name", json!("other")),
        ("/clusters/0/name", json!("other")),
        ("/current-context", json!("other")),
        ("/current-context", Value::Null),
        ("/users", json!([])),
        ("/users", json!({"exec": {"command": "sh"}})),
        ("/users/0/user", json!({})),
        ("/clusters/0/cluster", json!({})),
    ] {
        let text = with(std::slice::from_ref(&more));
        let problem = Entry::current(&text).unwrap_err();
        assert!(
            matches!(problem, Problem::Unusable(_)),
            "{more:?}: {problem:?}"
        );
    }
}

#[test]
fn what_unfolds_without_end_is_refused_at_once() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ('b'..='j').zip('a'..) {
        let ten = vec![format!("*{of}"); 10].join(", ");
        bomb.extend([&format!("{name}: &{name} "), "[", &ten, "]\n"]);
    }
    let deep = "[".repeat(200_000);
    for text in [bomb, deep, "x".repeat(1024 * 1024)] {
        let started = std::time::Instant::now();
        assert!(Entry::current(&text).is_err());
        assert!(started.elapsed().as_secs() < 10, "{text:.40}");
    }
}
