//! What is on the way.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_taken_where_kubectl_takes_one() -> Result<()> {
    let oracle = Oracle::start().await?;
    let far = one(
        "server: 'https://api.example.invalid:6443', certificate-authority: ca.pem",
        "token: abc",
    );
    let here = one(
        &format!(
            "server: 'https://0.0.0.0:{}', certificate-authority: ca.pem",
            oracle.https
        ),
        "token: abc",
    );
    let near = one(
        &format!(
            "server: 'https://127.0.0.1:{}', certificate-authority: ca.pem",
            oracle.https
        ),
        "token: abc",
    );
    let address = format!("127.0.0.1:{}", oracle.proxy);
    let http = format!("http://{address}");
    let with_login = format!("http://me:p%40w@{address}");
    let secure = format!("127.0.0.1:{}", oracle.secure_proxy);
    let port = format!("0.0.0.0:{}", oracle.https);
    let by = |name, proxy: &str| {
        case(
            name,
            far.replace("server:", &format!("proxy-url: '{proxy}', server:")),
        )
    };
    let around = |name, text: &str, proxy: &str, exceptions: &str| {
        surrounded(
            name,
            text,
            &[("HTTPS_PROXY", proxy), ("NO_PROXY", exceptions)],
        )
    };
    let mut cases = vec![
        by("proxy-url", &http),
        by("proxy-url with a login", &with_login),
        by("a proxy behind TLS", &format!("https://{secure}")),
        by(
            "a proxy behind TLS with a login",
            &format!("HTTPS://me:p%40w@{secure}"),
        ),
        by("socks5", &format!("socks5://{address}")),
        by(
            "socks5 with a login",
            &format!("socks5://me:p%40w@{address}"),
        ),
        by("socks5h", &format!("socks5h://{address}")),
        by("proxy-url without a scheme", &address),
        by("proxy-url of another scheme", "ftp://a"),
        case(
            "proxy-url to this machine",
            near.replace("server:", &format!("proxy-url: '{http}', server:")),
        ),
        surrounded(
            "proxy-url and NO_PROXY",
            &far.replace("server:", &format!("proxy-url: '{http}', server:")),
            &[("NO_PROXY", "*")],
        ),
        surrounded("small letters", &far, &[("https_proxy", &http)]),
        surrounded(
            "both spellings",
            &far,
            &[
                ("https_proxy", "http://127.0.0.1:1"),
                ("HTTPS_PROXY", &http),
            ],
        ),
        surrounded(
            "small exceptions",
            &far,
            &[("HTTPS_PROXY", &http), ("no_proxy", ".invalid")],
        ),
        surrounded("the other scheme's", &far, &[("HTTP_PROXY", &http)]),
        surrounded("ALL_PROXY", &far, &[("ALL_PROXY", &http)]),
        around("a login", &far, &with_login, ""),
        around(
            "behind TLS",
            &far,
            &format!("https://me:p%40w@{secure}"),
            "",
        ),
        around("no scheme", &far, &address, ""),
        around("socks5", &far, &format!("socks5://{address}"), ""),
        around("socks5h", &far, &format!("socks5h://{address}"), ""),
        around("loopback", &near, &http, ""),
        around(
            "localhost",
            &near.replace("127.0.0.1", "localhost"),
            &http,
            "",
        ),
    ];
    for exceptions in [
        "api.example.invalid",
        "example.invalid",
        ".example.invalid",
        "*.example.invalid",
        "invalid",
        "API.Example.INVALID",
        "ple.invalid",
        "*",
        "foo,*",
        "foo, *",
        "foo *",
        "localhost,",
        ",.svc",
        "foo bar",
        ",",
        "example.invalid:6443",
        "example.invalid:443",
        "api.example.invalid:",
        ":6443",
        "*.api.example.invalid",
        ".api.example.invalid",
        "*example.invalid",
    ] {
        cases.push(around(exceptions, &far, &http, exceptions));
    }
    for exceptions in [
        "0.0.0.0",
        "0.0.0.0/8",
        "0.0.0.0/33",
        "10.0.0.0/8,0.0.0.0",
        "::ffff:0.0.0.0",
        "0.0.0.0:1",
        ".0.0.0.0",
        "0",
        "127.0.0.1",
    ] {
        cases.push(around(exceptions, &here, &http, exceptions));
    }
    cases.push(around("an address with its port", &here, &http, &port));
    compare(&oracle, &cases)?;
    let shown = oracle.both(&around(
        "a password",
        &far,
        "http://me:secret@127.0.0.1:1",
        "",
    ))?;
    let [_, (_, plugin)] = shown;
    plugin.expect(5, &["through the proxy http://127.0.0.1:1"]);
    Ok(())
}
