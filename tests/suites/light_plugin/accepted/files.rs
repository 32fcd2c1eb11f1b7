//! What is in a file, and which file and context count.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_says_is_what_kubectl_reads() -> Result<()> {
    let oracle = Oracle::start().await?;
    let https = format!("https://127.0.0.1:{}", oracle.https);
    let secure = format!("server: '{https}', certificate-authority: ca.pem");
    let text = one(&secure, "token: abc");
    let encoded = STANDARD.encode(&oracle.certificate);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(76)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    let wrapped = text.replace(
        &format!("{{{secure}}}"),
        &format!(
            "\n      server: {https}\n      certificate-authority-data: |\n        {}",
            lines.join("\n        ")
        ),
    );
    let block = format!("{https}', certificate-authority-data: '{encoded}");
    let wide = |units: Vec<[u8; 2]>, mark: [u8; 2]| [&[mark][..], &units].concat().concat();
    let little: Vec<[u8; 2]> = text.encode_utf16().map(u16::to_le_bytes).collect();
    let big: Vec<[u8; 2]> = text.encode_utf16().map(u16::to_be_bytes).collect();
    let mut odd = wide(little.clone(), [0xFF, 0xFE]);
    odd.push(0);
    let of = |name, cluster: &str| case(name, one(cluster, "token: abc"));
    let plus = |name, more: &str| case(name, format!("{text}{more}"));
    let in_place = |name, from: &str, to: &str| {
        assert!(text.contains(from), "{name}");
        case(name, text.replace(from, to))
    };
    compare(
        &oracle,
        &[
            of("wrong authority", &format!("server: '{https}'")),
            of(
                "insecure",
                &format!("server: '{https}', insecure-skip-tls-verify: yes"),
            ),
            of(
                "insecure as a text",
                &format!("server: '{https}', insecure-skip-tls-verify: 'true'"),
            ),
            of(
                "insecure with an authority",
                &format!("{secure}, insecure-skip-tls-verify: true"),
            ),
            of(
                "both authorities",
                &format!("{secure}, certificate-authority-data: '{encoded}'"),
            ),
            of(
                "authority that is none",
                &format!("server: '{https}', certificate-authority-data: YWJj"),
            ),
            of(
                "authority in bad base64",
                &format!("server: '{https}', certificate-authority-data: '@'"),
            ),
            of(
                "authority that is not there",
                &format!("server: '{https}', certificate-authority: none"),
            ),
            of(
                "empty authority",
                &format!(
                    "{secure}, certificate-authority-data: '', tls-server-name: '', proxy-url: ''"
                ),
            ),
            of(
                "authority data and an empty file",
                &format!("server: '{block}', certificate-authority: ''"),
            ),
            of(
                "server name",
                &format!("{secure}, tls-server-name: localhost"),
            ),
            of(
                "wrong server name",
                &format!("{secure}, tls-server-name: other"),
            ),
            of("no server", "certificate-authority: ca.pem"),
            of("empty server", "server: ''"),
            of("no scheme", &format!("server: '127.0.0.1:{}'", oracle.http)),
            of(
                "no scheme, with TLS",
                &format!(
                    "server: '127.0.0.1:{}', insecure-skip-tls-verify: true",
                    oracle.https
                ),
            ),
            of(
                "no scheme, with a name",
                &format!("server: 'localhost:{}'", oracle.http),
            ),
            of(
                "no scheme, with a path",
                &format!("server: '127.0.0.1:{}/a'", oracle.http),
            ),
            of("no host", "server: 'https://'"),
            of("another scheme", "server: 'ftp://127.0.0.1:1'"),
            of(
                "a path",
                &format!("server: '{https}/k8s/c-1', certificate-authority: ca.pem"),
            ),
            of(
                "a path with a slash",
                &format!("server: '{https}/k8s/c-1/', certificate-authority: ca.pem"),
            ),
            of(
                "a query",
                &format!("server: '{https}/k8s?a=b', certificate-authority: ca.pem"),
            ),
            of("a number for a server", "server: 1"),
            case("base64 in lines", wrapped),
            case("bytes of UTF-16", wide(little, [0xFF, 0xFE])),
            case("bytes of UTF-16 the other way", wide(big, [0xFE, 0xFF])),
            case("an odd number of bytes", odd),
            case("the mark of UTF-16 alone", vec![0xFF, 0xFE, 0]),
            case("no text", vec![0xC3, 0x28]),
            case("nothing", ""),
            case("a list", "- a\n"),
            case("a word", "abc"),
            case("a tree that does not end", "clusters: ["),
            case("lists that are none", "clusters: {a: b}\n"),
            case("JSON with tabs", "{\n\t\"kind\": \"Config\"}"),
            plus("another document", "---\nclusters: []\n"),
            plus("another document that is none", "---\na: [\n"),
            plus("an end", "---\n"),
            plus("a key again", "users:\n- name: u\n  user: {token: later}\n"),
            plus("a preference", "preferences: {colors: true}\nx-mine: [1]\n"),
            plus("extensions without content", "extensions:\n- name: e\n"),
            in_place(
                "an entry twice",
                "users:\n",
                "users:\n- name: u\n  user: {token: other}\n",
            ),
            in_place(
                "a context without a cluster",
                "contexts:\n",
                "contexts:\n- name: other\n  context: {user: u}\n",
            ),
            in_place(
                "a context that is null",
                "contexts:\n",
                "contexts:\n- name: other\n  context: null\n",
            ),
            in_place(
                "a user that is null",
                "users:\n",
                "users:\n- name: other\n  user: null\n- name: third\n",
            ),
            in_place(
                "an odd provider elsewhere",
                "users:\n",
                "users:\n- name: other\n  user: {auth-provider: {config: null}}\n",
            ),
            in_place(
                "bad base64 elsewhere",
                "users:\n",
                "users:\n- name: other\n  user: {client-key-data: '@'}\n",
            ),
            in_place(
                "a number elsewhere",
                "users:\n",
                "users:\n- name: other\n  user: {token: 12}\n",
            ),
            in_place("a name that is a number", "- name: u\n", "- name: 12\n"),
            in_place(
                "null lists",
                "contexts:\n",
                "extensions: null\npreferences: null\ncontexts:\n",
            ),
            in_place("another kind", "kind: Config", "kind: Pod"),
            in_place("another version", "apiVersion: v1", "apiVersion: v2"),
            in_place("no kind", "apiVersion: v1\nkind: Config\n", ""),
            in_place("a missing cluster", "cluster: c, user", "cluster: x, user"),
            in_place("a namespace", "user: u", "user: u, namespace: team-a"),
            in_place("an empty namespace", "user: u", "user: u, namespace: ''"),
            in_place(
                "a namespace that is a path",
                "user: u",
                "user: u, namespace: a/b",
            ),
            in_place(
                "a namespace that is a number",
                "user: u",
                "user: u, namespace: 1",
            ),
            in_place("no current context", "current-context: c\n", ""),
            in_place(
                "an empty current context",
                "current-context: c",
                "current-context: ''",
            ),
            in_place(
                "a current context that is not there",
                "current-context: c",
                "current-context: x",
            ),
            flagged(
                "no context, with flags",
                &text.replace("current-context: c\n", ""),
                "--cluster c --user u",
            ),
            flagged("a cluster that is not there", &text, "--cluster x"),
            flagged("a user that is not there", &text, "--user x"),
            flagged("a context that is not there", &text, "--context x"),
            flagged(
                "flags that are empty",
                &text,
                "--context '' --namespace '' --cluster '' --user '' --server '' --token '' --as '' --kubeconfig ''",
            ),
            flagged("--namespace", &text, "-n team-b"),
            flagged(
                "--server",
                &one(
                    "server: 'https://127.0.0.1:1', certificate-authority: ca.pem, tls-server-name: other",
                    "token: abc",
                ),
                &format!("--server {https}"),
            ),
            flagged("-s", &text, &format!("-s http://127.0.0.1:{}", oracle.http)),
            flagged(
                "--insecure-skip-tls-verify",
                &one(
                    &format!("server: '{https}', certificate-authority-data: YWJj"),
                    "token: abc",
                ),
                "--insecure-skip-tls-verify",
            ),
            flagged(
                "--certificate-authority",
                &one(
                    &format!("server: '{https}', insecure-skip-tls-verify: true"),
                    "token: abc",
                ),
                &format!(
                    "--certificate-authority {}",
                    oracle.home().join("ca.pem").display()
                ),
            ),
            flagged("--tls-server-name", &text, "--tls-server-name other"),
            flagged("-v6", &text, "-v6"),
            flagged("-v 6", &text, "-v 6"),
            Case {
                files: vec![
                    b"current-context: ''\nclusters: [{name: z, cluster: {server: 'https://z'}}]\n"
                        .to_vec(),
                    text.clone().into(),
                ],
                ..case("an empty current context first", "")
            },
            Case {
                files: vec![vec![], text.clone().into()],
                ..case("an empty file first", "")
            },
            Case {
                files: vec![
                    one("server: 'https://127.0.0.1:1'", "token: first").into(),
                    text.clone().into(),
                ],
                ..case("the first file counts", "")
            },
            Case {
                files: vec![text.clone().into(), b"clusters: [".to_vec()],
                ..case("a broken file last", "")
            },
            surrounded("KUBECONFIG=:", &text, &[("KUBECONFIG", ":")]),
            surrounded(
                "a file that is not there",
                &text,
                &[("KUBECONFIG", "/does/not/exist")],
            ),
        ],
    )
}
