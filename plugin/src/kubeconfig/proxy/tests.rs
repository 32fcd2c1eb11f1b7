use super::*;

fn direct(server: &str, exceptions: &str) -> bool {
    let server: Uri = server.parse().unwrap();
    let found = Proxy::of_environment(&server, |name| match name {
        "HTTPS_PROXY" => Some("http://proxy:3128".to_owned()),
        "NO_PROXY" => Some(exceptions.to_owned()),
        _ => None,
    });
    found.unwrap().is_none()
}

#[test]
fn what_is_excepted_is_what_go_excepts() {
    for (server, exceptions, expected) in [
        ("https://api.a.org", "", false),
        ("https://api.a.org", "a.org", true),
        ("https://api.a.org", ".a.org", true),
        ("https://api.a.org", "*.a.org", true),
        ("https://API.A.org", "Api.a.ORG", true),
        ("https://a.org", ".a.org", false),
        ("https://a.org", "*.a.org", false),
        ("https://ba.org", "a.org", false),
        ("https://a.org.b", "a.org", false),
        ("https://a.org", "a.org:443", true),
        ("https://a.org:6443", "a.org:443", false),
        ("https://a.org", "x, *", true),
        ("https://a.org", "x *", false),
        ("https://a.org", "*a.org", false),
        ("https://a.org", ",,:443,.", false),
        ("https://10.1.2.3", "10.0.0.0/8", true),
        ("https://10.1.2.3", "10.1.2.3", true),
        ("https://10.1.2.3", "10.1.2.3:443", true),
        ("https://10.1.2.3", "10.1.2.3:6443", false),
        ("https://10.1.2.3", "10.1.2.4", false),
        ("https://10.1.2.3", "2.3", false),
        ("https://10.1.2.3", "10.0.0.0/99", false),
        ("https://[fd00::1]:6443", "fd00::1", true),
        ("https://[fd00::1]:6443", "fd00::/8", true),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", true),
        ("https://[fd00::1]:6443", "[fd00::1]:443", false),
        ("https://[fd00::1]:6443", "[fd00::1]", false),
        ("https://localhost:6443", "", true),
        ("https://127.3.2.1:6443", "", true),
        ("https://[::1]:6443", "", true),
        ("https://[::ffff:127.0.0.1]:6443", "", true),
    ] {
        assert_eq!(
            direct(server, exceptions),
            expected,
            "{server} {exceptions}"
        );
    }
}

#[test]
fn the_scheme_of_the_server_says_which_variable_counts() {
    let found = |server: &str| {
        let server: Uri = server.parse().unwrap();
        let found = Proxy::of_environment(&server, |name| match name {
            "HTTPS_PROXY" => Some(String::new()),
            "https_proxy" => Some("me:p%40w@s".to_owned()),
            "HTTP_PROXY" => Some("socks5h://p".to_owned()),
            _ => None,
        });
        found.unwrap().unwrap()
    };
    let secure = found("https://a.org");
    assert_eq!(secure.to_string(), "http://s:80");
    assert_eq!(secure.login, Some(("me".to_owned(), "p@w".to_owned())));
    assert_eq!(found("http://a.org").to_string(), "socks5://p:1080");
}

#[test]
fn what_is_no_proxy_is_refused_without_its_password() {
    for text in [
        "",
        "p:3128",
        "ftp://p",
        "http://",
        "http://me:secret@",
        "socks5h://p",
        "http://a b",
    ] {
        let Err(why) = Proxy::new(text) else {
            panic!("{text}");
        };
        assert!(
            why.starts_with("must be http://") && !why.contains("secret"),
            "{why}"
        );
    }
    let proxy = Proxy::new("https://me:secret@p/x?y").unwrap();
    assert_eq!(proxy.to_string(), "https://p:443");
    assert_eq!(proxy.address, "https://p:443");
}
