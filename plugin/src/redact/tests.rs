use rstest::rstest;
use serde_json::{Value, json};

use super::{MARK, Redactor};

fn redactor() -> Redactor {
    Redactor::new().unwrap()
}

/// What must be in nothing that a bundle holds.
const PLANTED: &str = "Pl4nted";

#[rstest]
#[case::url("kine: postgres://kine:Pl4nted@db.local:5432/kine?sslmode=disable")]
#[case::url_with_at_and_slash("postgres://kine:Pl4nted@x/Pl4nted@db.local/kine")]
#[case::url_in_json(r#"{"msg":"cannot dial postgres://kine:Pl4nted@db.local/kine"}"#)]
#[case::mysql("dsn mysql://kine:Pl4nted@tcp(db.local:3306)/kine")]
#[case::mysql_without_scheme("kine:Pl4nted@tcp(db.local:3306)/kine")]
#[case::query("https://db.local/kine?password=Pl4nted&sslmode=disable")]
#[case::libpq("host=db.local user=kine password=Pl4nted dbname=kine")]
#[case::libpq_quoted("host=db.local password='Pl4nted and Pl4nted' dbname=kine")]
#[case::environment("DB_PASSWORD=Pl4nted")]
#[case::key_of_a_provider("AWS_SECRET_ACCESS_KEY=Pl4nted/Pl4nted+x")]
#[case::flag("exec k0s worker --token Pl4nted --debug")]
#[case::flag_with_equals("exec k0s worker --api-token=Pl4nted --debug")]
#[case::flag_quoted(r#"--password "Pl4nted and Pl4nted" --debug"#)]
#[case::bearer("Authorization: Bearer Pl4ntedPl4nted")]
#[case::bearer_in_a_header_dump("map[Authorization:[Bearer Pl4ntedPl4nted]]")]
#[case::basic("proxy-authorization: basic Pl4ntedPl4nted")]
#[case::yaml("token: Pl4nted")]
#[case::yaml_of_several_words("  - password: Pl4nted and Pl4nted\n    user: kine")]
#[case::yaml_block("password: |\n  Pl4nted\n\n  Pl4nted\nuser: kine")]
#[case::yaml_quoted_key("\"api_key\": Pl4nted and Pl4nted")]
#[case::json(r#"{"user":"kine","password":"Pl4nted, \"Pl4nted\" and Pl4nted"}"#)]
#[case::json_with_spaces(r#"{ "client_secret" : "Pl4nted" }"#)]
#[case::json_in_json(r#"{"msg":"{\"password\":\"Pl4nted \\\"Pl4nted\\\" Pl4nted\"}"}"#)]
#[case::json_without_an_end(r#"{"password":"Pl4nted and Pl4nted"#)]
#[case::logfmt(r#"level=info msg="joining with token=Pl4nted" component=k0s"#)]
#[case::logfmt_behind_a_harmless_name(r#"tokenFile="password=Pl4nted""#)]
#[case::prose("the token: Pl4nted was refused")]
#[case::prose_of_several_words("2026-11-22T10:00:00.5Z the password: Pl4nted and Pl4nted")]
#[case::log_line("2026-11-22T10:00:00.5Z secret: Pl4nted and Pl4nted")]
#[case::bytes_as_go_prints_them(
    "Data:map[tls.key:[45 45 45 45 45 66 69 71 73 78 32 80 82 73 86 65 84 69 32 75 69 89 45]] Secret:Pl4nted"
)]
#[case::short_name("DB_PASS=Pl4nted")]
#[case::shorter_name("MYSQL_PWD=Pl4nted")]
#[case::json_short_name(r#"{"pass":"Pl4nted"}"#)]
#[case::query_in_a_query("to=https%3A%2F%2Fx%2F%3Fpassword%3DPl4nted")]
#[case::variable_as_go_prints_it("{Name:DB_PASSWORD Value:Pl4nted ValueFrom:nil}")]
#[case::variable_in_json(r#"{"name":"DB_PASSWORD","value":"Pl4nted and Pl4nted"}"#)]
#[case::variable_in_escaped_json(r#"{"msg":"{\"name\":\"API_TOKEN\", \"value\": \"Pl4nted\"}"}"#)]
#[case::variable_in_yaml("- name: DB_PASSWORD\n  value: Pl4nted and Pl4nted\n")]
#[case::netrc("machine db.local login kine password Pl4nted")]
#[case::ssh_key(
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlPl4nted\n-----END OPENSSH PRIVATE KEY-----"
)]
#[case::pgp_key(
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQVYPl4nted\n=Pl4n\n-----END PGP PRIVATE KEY BLOCK-----"
)]
#[case::wireguard("PresharedKey = Pl4nted=")]
#[case::digest("Authorization: Digest username=\"a\", response=\"Pl4nted\"")]
#[case::ruby("password => Pl4nted")]
#[case::service_account_token(
    "x eyJhbGciOiJSUzI1NiJ9Pl4nted.eyJpc3MiOiJrdWJlcm5ldGVzIn0Pl4nted.c2lnPl4nted_x y"
)]
#[case::bootstrap_token("joined with abcdef.pl4nted012345678 at last")]
#[case::private_key(
    "-----BEGIN EC PRIVATE KEY-----\nMHcPl4nted\nPl4nted==\n-----END EC PRIVATE KEY-----\n"
)]
#[case::private_key_in_one_line(
    r"key: -----BEGIN PRIVATE KEY-----\nMHcPl4nted\nPl4nted==\n-----END PRIVATE KEY-----\n"
)]
#[case::private_key_without_an_end("-----BEGIN RSA PRIVATE KEY-----\nMHcPl4nted\nPl4nted")]
#[case::a_password_behind_a_key_without_an_end(
    "-----BEGIN PRIVATE KEY-----\nAA a\n\npassword: Pl4nted-x"
)]
#[case::another_behind_one("-----BEGIN PRIVATE KEY-----\nAA\napi_key=\"Pl4nted x\"")]
#[case::another_line_behind_one("?token=x&y-----BEGIN PRIVATE KEY-----\n\npassword: Pl4nted-x")]
#[case::a_password_where_sql_has_one("identified by password: Pl4nted-x")]
#[case::a_password_where_a_header_has_one("basic\n\npassword: Pl4nted-x")]
#[case::private_key_without_a_beginning("MHcPl4nted\nPl4nted==\n-----END RSA PRIVATE KEY-----")]
#[case::key_data("client-key-data: LS0tLS1CRUdJTiBQl4nPl4ntedPl4nted")]
#[case::pem_in_base64("x LS0tLS1CRUdJTiBFQyBQUklWPl4nted y")]
#[case::join_token("k0s worker H4sIAAAAAAAC/Pl4ntedPl4nted+Pl4nted/Pl4nted== ok")]
#[case::long_base64("sent MIGHAgEAPl4ntedBggqhkjOPQMBBwRtMGsCAQEEIPl4nted ok")]
#[case::mysql_user("CREATE USER kine IDENTIFIED BY 'Pl4nted and Pl4nted'")]
#[case::cookie("Set-Cookie: session=Pl4nted; Path=/")]
fn no_text_keeps_a_secret(#[case] text: &str) {
    let redacted = redactor().text(text);
    let lower = redacted.to_lowercase();
    assert!(!lower.contains(&PLANTED.to_lowercase()), "{redacted}");
    assert!(redacted.contains(MARK), "{redacted}");
}

#[rstest]
#[case("I1122 reflector.go:359] Caches populated for *v1.Secret from k8s.io/client-go")]
#[case(r#"E1122 failed to get secret: secrets "demo-ca" not found"#)]
#[case("failed to create token: Unauthorized")]
#[case(
    "--service-account-signing-key-file=/var/lib/k0s/pki/sa.key --enable-bootstrap-token-auth=true"
)]
#[case("--authorization-mode=Node,RBAC")]
#[case(r#"FLAG: --authorization-kubeconfig="/var/lib/k0s/pki/scheduler.conf""#)]
#[case(r#"FLAG: --service-account-max-token-expiration="0s""#)]
#[case(
    "image quay.io/k0sproject/k0s@sha256:0f343b0931126a20f133d67c2b018a3b5f2b5e7d8c4f2e1a9b8c7d6e5f4a3b2c"
)]
#[case("GET /apis/k0smotron/v1beta2/namespaces/Team1/clusters/demo/status/conditions")]
#[case("uid 5e0c8c0e-7a7d-4b53-8f0a-1f2f3e4d5c6b, etcd member 8e9e05c52164694d")]
#[case("https://10.0.0.7:31443/readyz answers")]
#[case("secretName: demo-kubeconfig\ntokenID: abcdef")]
#[case("the bearer of this")]
#[case("PWD=/root")]
#[case("compass: north, bypass=no, password? none")]
fn what_tells_nothing_secret_stays_as_it_is(#[case] text: &str) {
    assert_eq!(redactor().text(text), text);
}

#[test]
fn what_is_redacted_is_told_and_nothing_around_it_goes() {
    let redactor = redactor();
    for (text, told) in [
        (
            "dial postgres://kine:Pl4nted@db.local:5432/kine: refused",
            "dial postgres://[redacted]@db.local:5432/kine: refused",
        ),
        (
            r#"{"password":"Pl4nted","user":"kine"}"#,
            r#"{"password":"[redacted]","user":"kine"}"#,
        ),
        ("--token Pl4nted --debug", "--token [redacted] --debug"),
        (
            "password: |\n  Pl4nted\n  Pl4nted\nuser: kine",
            "password: [redacted]\nuser: kine",
        ),
        (
            r#"level=info msg="password: Pl4nted and Pl4nted" component=k0s"#,
            r#"level=info msg="password: [redacted]" component=k0s"#,
        ),
        (
            "data [45 45 45 45 45 66 69 71 73 78 32 80 82 73 86 65 84 69] of it",
            "data [redacted] of it",
        ),
        (
            "token abcdef.0123456789abcdef expired",
            "token abcdef.[redacted] expired",
        ),
    ] {
        assert_eq!(redactor.text(text), told);
    }
}

#[test]
fn redacting_twice_changes_nothing_more() {
    let redactor = redactor();
    let once = redactor.text(r#"--token Pl4nted {"password":"Pl4nted"} postgres://a:Pl4nted@b/c"#);
    assert_eq!(redactor.text(&once), once);
}

fn redacted(value: Value) -> (Value, String) {
    let redacted = redactor().object(value);
    let text = redacted.to_string();
    assert!(!text.contains(PLANTED), "{text}");
    (redacted, text)
}

#[test]
fn of_a_secret_only_names_keys_and_sizes_are_left() {
    let (found, _) = redacted(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": "demo-ca", "managedFields": [{"manager": "Pl4nted"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"x\":\"Pl4nted\"}"},
        },
        "data": {"tls.key": "UGw0bnRlZA==", "tls.crt": ""}, "stringData": {"more": "Pl4nted"},
    }));
    let expected = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": "demo-ca",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": MARK},
        },
        "bytes": {"tls.key": 7, "tls.crt": 0, "more": 7},
    });
    assert_eq!(found, expected);
}

#[test]
fn secrets_go_from_every_place_of_an_object() {
    let manifest = "# Pl4nted is the token\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n\
        stringData: {anything: Pl4nted}\n---\napiVersion: v1\nkind: ConfigMap\n\
        data: {k0s.yaml: \"spec:\\n  password: Pl4nted and Pl4nted\\n  other: x\"}\n";
    let (found, text) = redacted(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {
            "name": "demo",
            "annotations": {
                "example.org/note": "connects to postgres://kine:Pl4nted@db.local/kine",
                "example.org/api-token": "Pl4nted",
            },
        },
        "spec": {
            "storage": {"type": "kine", "kine": {"dataSourceURL": "mysql://a:Pl4nted@tcp(db)/k",
                "dataSourceSecretName": "kine-source"}},
            "k0sConfig": {"spec": {"extensions": {"helm": {"charts": [
                {"name": "x", "values": "auth:\n  password: Pl4nted\nreplicas: 2\n"}]}}}},
            "controlPlaneFlags": ["--debug", "--token", "Pl4nted", "--api-key=Pl4nted", "--no-token", "--verbose"],
            "env": [
                {"name": "DB_PASSWORD", "value": "Pl4nted"}, {"name": "PLAIN", "value": "kept"},
                {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
            ],
            "credentials": {"user": "Pl4nted", "more": ["Pl4nted"]},
            "pin": {"password": 12_345_678},
            "tokens": ["Pl4nted"],
            "volumes": [{"name": "v", "secret": {"secretName": "demo-ca"}}],
            "manifests": manifest,
        },
    }));
    assert!(!text.contains("12345678"), "{text}");
    let spec = &found["spec"];
    assert_eq!(
        spec["storage"]["kine"]["dataSourceSecretName"],
        "kine-source"
    );
    assert_eq!(spec["env"][1]["value"], "kept");
    assert_eq!(
        spec["env"][2]["valueFrom"]["secretKeyRef"]["key"],
        "password"
    );
    assert_eq!(
        spec["controlPlaneFlags"],
        json!([
            "--debug",
            "--token",
            MARK,
            "--api-key=[redacted]",
            "--no-token",
            "--verbose"
        ])
    );
    assert_eq!(spec["volumes"][0]["secret"]["secretName"], "demo-ca");
    let chart = spec["k0sConfig"]["spec"]["extensions"]["helm"]["charts"][0]["values"].as_str();
    assert!(chart.unwrap().contains("replicas: 2"), "{text}");
    assert!(
        spec["manifests"].as_str().unwrap().contains("anything: 7"),
        "{text}"
    );
}

#[test]
fn a_document_without_secrets_keeps_its_comments() {
    let text = "# how it was measured\nreplicas: 2\n";
    let (found, _) = redacted(json!({"data": {"a.yaml": text}}));
    assert_eq!(found["data"]["a.yaml"], text);
}

#[test]
fn a_document_that_is_broken_loses_its_secrets_all_the_same() {
    let text = "a: [1\npassword: Pl4nted and Pl4nted\nurl: postgres://a:Pl4nted@b/c\n";
    let (found, _) = redacted(json!({"data": {"a.yaml": text}}));
    assert!(
        found["data"]["a.yaml"]
            .as_str()
            .unwrap()
            .starts_with("a: [1\n")
    );
}
