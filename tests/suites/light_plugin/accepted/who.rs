//! Who asks.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// A user whose files have more in them than is asked for.
fn beside(oracle: &Oracle) -> Result<String> {
    let (key, other) = (KeyPair::generate()?, KeyPair::generate()?);
    let params = CertificateParams::new(Vec::new())?;
    let request = params.serialize_request(&key)?.pem()?;
    let certificate = params.self_signed(&key)?.pem();
    let public = key.public_key_pem();
    std::fs::write(
        oracle.home().join("me.pem"),
        format!("{request}{certificate}{public}"),
    )?;
    std::fs::write(
        oracle.home().join("me.key"),
        format!(
            "{public}{certificate}{}{}",
            key.serialize_pem(),
            other.serialize_pem()
        ),
    )?;
    Ok("client-certificate: me.pem, client-key: me.key".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_who_kubectl_says() -> Result<()> {
    let oracle = Oracle::start().await?;
    let secure = format!(
        "server: 'https://127.0.0.1:{}', certificate-authority: ca.pem",
        oracle.https
    );
    let plain = format!("server: 'http://127.0.0.1:{}'", oracle.http);
    std::fs::write(oracle.home().join("token"), "from-a-file\n")?;
    std::fs::write(oracle.home().join("empty"), "\n")?;
    let credential = |version: &str, status: &str| {
        format!(
            r#"{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/{version}","status":{status}}}"#
        )
    };
    oracle.program("brings", &credential("v1", r#"{"token":"brought"}"#))?;
    oracle.program(
        "brings-for-ever",
        &credential(
            "v1",
            r#"{"token":"brought","expirationTimestamp":"2999-01-01T00:00:00Z"}"#,
        ),
    )?;
    oracle.program("brings-nothing", &credential("v1", "{}"))?;
    oracle.program(
        "speaks-older",
        &credential("v1beta1", r#"{"token":"brought"}"#),
    )?;
    oracle.program("speaks-yaml", "kind: ExecCredential\napiVersion: client.authentication.k8s.io/v1\nstatus: {token: brought}")?;
    // Who it is depends on what it is told.
    oracle.script(
        "tells",
        r#"sum=$(printf %s "$KUBERNETES_EXEC_INFO" | sed -n 's/.*"certificate-authority-data":"\([^"]*\)".*/\1/p' | tr -d '\n' | cksum | tr ' ' -)
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$sum"
"#,
    )?;
    let told = format!(
        "server: 'https://127.0.0.1:{}', certificate-authority-data: '{}'",
        oracle.https,
        STANDARD.encode(&oracle.certificate)
    );
    let oidc = |claims: &str| {
        let claims = URL_SAFE_NO_PAD.encode(claims);
        format!(
            "auth-provider: {{name: oidc, config: {{idp-issuer-url: 'http://127.0.0.1:1', client-id: x, id-token: e30.{claims}.x}}}}"
        )
    };
    let exec = |command: &str, more: &str| {
        format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}, interactiveMode: Never{more}}}"
        )
    };
    let of = |name, user: &str| case(name, one(&secure, user));
    let open = |name, user: &str| case(name, one(&plain, user));
    compare(
        &oracle,
        &[
            of("a token", "token: abc"),
            of("as", "token: abc, as: jane"),
            of(
                "as with all",
                "token: abc, as: jane, as-uid: '7', as-groups: [dev, ops], as-user-extra: {a/B: [x, y]}",
            ),
            of("groups without as", "token: abc, as-groups: [dev]"),
            of("uid without as", "token: abc, as-uid: '7'"),
            of("as of two lines", "token: abc, as: \"jane\\n\""),
            of("as with an umlaut", "token: abc, as: jürgen"),
            open("a token over http", "token: abc"),
            open("a login over http", "username: me, password: pw"),
            open("as over http", "token: abc, as: jane, as-groups: [dev]"),
            open("a plugin over http", &exec("./brings", "")),
            open("a file over http that is not there", "tokenFile: none"),
            of("basic", "username: me, password: pw"),
            of("basic without a password", "username: me"),
            of(
                "basic and a token",
                "username: me, password: pw, token: abc",
            ),
            of(
                "basic and a file",
                "username: me, password: pw, tokenFile: token",
            ),
            of("a file", "tokenFile: token"),
            of("a file that is not there", "tokenFile: none"),
            of("a token and a file", "token: abc, tokenFile: token"),
            of(
                "a token and a file that is not there",
                "token: abc, tokenFile: none",
            ),
            of(
                "empty texts",
                "token: '', tokenFile: '', username: '', password: '', as: '', client-certificate-data: '', client-key: '', tokenFile: token",
            ),
            of(
                "an empty token before a file",
                "token: '', tokenFile: token",
            ),
            of(
                "empty login beside a token",
                "username: '', password: '', token: abc",
            ),
            of("a token of two lines", "token: \"abc\\n\""),
            of("a token that is a number", "token: 123"),
            of("a token that is a truth", "token: yes"),
            of("a null token", "token: null, tokenFile: token"),
            of("a certificate without a key", "client-certificate: ca.pem"),
            of(
                "a key without a certificate",
                "client-key: ca.pem, token: abc",
            ),
            of(
                "a certificate that is none",
                "client-certificate-data: YWJj, client-key-data: YWJj",
            ),
            of(
                "a certificate twice",
                "client-certificate-data: YWJj, client-certificate: ca.pem, client-key: ca.pem",
            ),
            case(
                "other blocks beside a certificate and a key",
                one(&secure, &beside(&oracle)?),
            ),
            of("base64 that is none", "client-certificate-data: '@@@'"),
            of("a plugin", &exec("./brings", "")),
            of("a plugin with an end", &exec("./brings-for-ever", "")),
            of("a plugin that speaks yaml", &exec("./speaks-yaml", "")),
            of(
                "a plugin that brings nothing",
                &exec("./brings-nothing", ""),
            ),
            of("a plugin of another version", &exec("./speaks-older", "")),
            of(
                "a plugin that is not there",
                &exec("./none", ", installHint: get it"),
            ),
            of(
                "a plugin with a null variable",
                &exec("./brings", ", env: [{name: A, value: null}]"),
            ),
            of(
                "a plugin with a nameless variable",
                &exec("./brings", ", env: [{value: a}]"),
            ),
            of(
                "a plugin that is told an authority in a file",
                &exec("./tells", ", provideClusterInfo: true"),
            ),
            case(
                "a plugin that is told an authority",
                one(&told, &exec("./tells", ", provideClusterInfo: true")),
            ),
            of("a provider's token", &oidc(r#"{"exp":4102444800}"#)),
            of("a provider's token that has ended", &oidc(r#"{"exp":1}"#)),
            of(
                "a plugin behind a token",
                &format!("token: abc, {}", exec("./brings", "")),
            ),
            of(
                "a plugin and a provider",
                &format!("auth-provider: {{name: oidc}}, {}", exec("./brings", "")),
            ),
            of(
                "a plugin without a mode",
                "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./brings}",
            ),
            of(
                "an older plugin without a mode",
                "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./speaks-older}",
            ),
            of(
                "a plugin that must ask",
                &exec("./brings", "").replace("Never", "Always"),
            ),
            of(
                "a plugin that may ask",
                &exec("./brings", "").replace("Never", "IfAvailable"),
            ),
            of(
                "a plugin of no version",
                "exec: {command: ./brings, interactiveMode: Never}",
            ),
            of(
                "a plugin without a command",
                "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}",
            ),
            of(
                "a provider that is gone",
                "auth-provider: {name: gcp, config: null}",
            ),
            flagged(
                "--as",
                &one(&secure, "token: abc, as: jane, as-groups: [dev]"),
                "--as bob",
            ),
            flagged(
                "--as-group",
                &one(&secure, "token: abc, as: jane, as-groups: [dev]"),
                "--as-group ops",
            ),
            flagged(
                "--as-group alone",
                &one(&secure, "token: abc"),
                "--as-group ops",
            ),
            flagged(
                "--as-uid",
                &one(&secure, "token: abc"),
                "--as bob --as-uid 7",
            ),
            flagged("--token", &one(&secure, "token: abc"), "--token given"),
            flagged(
                "--token before a plugin",
                &one(&secure, &exec("./brings", "")),
                "--token given",
            ),
            flagged(
                "--token beside basic",
                &one(&secure, "username: me, password: pw"),
                "--token given",
            ),
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_runs_where_kubectl_runs_it() -> Result<()> {
    let oracle = Oracle::start().await?;
    let secure = format!(
        "server: 'https://127.0.0.1:{}', certificate-authority: ca.pem",
        oracle.https
    );
    oracle.program(
        "brings",
        r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"brought"}}"#,
    )?;
    let home = oracle.home().display().to_string();
    let (whole, folders) = (format!("{home}/brings"), format!("{home}:/usr/bin:/bin"));
    let text = |command: &str, more: &str| {
        let exec = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}, interactiveMode: Never{more}}}"
        );
        one(&secure, &exec)
    };
    let (path, word) = (text("./brings", ""), text("brings", ""));
    let elsewhere = text(
        "brings",
        &format!(", env: [{{name: PATH, value: '{home}'}}]"),
    );
    let allowed = |entry: &str| {
        format!("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{entry}]\n")
    };
    let by_place = allowed(&format!("{{command: '{whole}'}}"));
    let mut cases = vec![
        surrounded("a kuberc that is not there", &path, &[("KUBERC", "/none")]),
        surrounded("a word that PATH does not have", &elsewhere, &[]),
    ];
    for (number, (name, text, says)) in [
        ("a kuberc that says nothing", &path, String::new()),
        (
            "all are forbidden",
            &path,
            "credentialPluginPolicy: DenyAll\n".to_owned(),
        ),
        (
            "a policy that is none",
            &path,
            "credentialPluginPolicy: denyall\n".to_owned(),
        ),
        (
            "a list without its policy",
            &path,
            "credentialPluginAllowlist: [{name: brings}]\n".to_owned(),
        ),
        ("a word by its word", &word, allowed("{name: brings}")),
        ("a word by its place", &word, by_place.clone()),
        ("a place by its word", &path, allowed("{name: brings}")),
        ("a place by its place", &path, by_place.clone()),
        ("another word", &path, allowed("{name: other}")),
        ("an empty list", &path, allowed("")),
        (
            "two names",
            &path,
            allowed("{name: brings, command: other}"),
        ),
        (
            "a detour",
            &path,
            allowed(&format!("{{name: '{home}/./brings'}}")),
        ),
        (
            "a word that PATH does not have, by its word",
            &elsewhere,
            by_place,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("{home}/kuberc-{number}");
        let head = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";
        std::fs::write(&file, format!("{head}{says}"))?;
        let mut environment = vec![("KUBERC", &*file)];
        if text != &elsewhere {
            environment.push(("PATH", &*folders));
        }
        cases.push(surrounded(name, text, &environment));
    }
    compare(&oracle, &cases)
}
