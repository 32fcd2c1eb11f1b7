//! Keys, certificates, tokens and hosts as others write them.

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls_pki_types::pem::{PemObject as _, SectionKind};

use super::token::{BootstrapToken, JoinToken, Role, bootstrap_secret};
use super::{PemPair, PrivateKey, address, certificates, fixtures, inspect, key_matches, leaf};

const PAIRS: [&str; 7] = [
    "ec-p384",
    "ec-sec1",
    "ed25519",
    "rsa-pkcs1",
    "rsa-pkcs8",
    "sa-rsa",
    "two-units",
];

fn token(role: Role) -> JoinToken {
    JoinToken {
        role,
        server: "https://10.0.0.1:30443".into(),
        ca_certificate: fixtures::pair("ec-sec1").certificate,
        id: "abc123".parse().unwrap(),
        secret: "0123456789abcdef".parse().unwrap(),
    }
}

fn pack(yaml: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(yaml).unwrap();
    gzip.finish().unwrap()
}

fn unpack(token: &str) -> Vec<u8> {
    let mut out = flate2::write::GzDecoder::new(Vec::new());
    out.write_all(&BASE64_STANDARD.decode(token).unwrap())
        .unwrap();
    out.finish().unwrap()
}

/// What is taken for a token is one, to the letter: it leads to an https address and holds nothing
/// else.
fn reads_only_tokens(text: &str) {
    if let Ok(token) = JoinToken::decode(text) {
        let again = token.encode().unwrap();
        assert_eq!(JoinToken::decode(again.expose()).unwrap(), token);
        assert!(token.server.starts_with("https://"), "{}", token.server);
        assert!(
            !token.server.contains(char::is_control),
            "{:?}",
            token.server
        );
        assert!(certificates(&token.ca_certificate).is_ok());
    }
}

#[test]
fn tokens_as_text() {
    let seeds = [Role::Worker, Role::Controller].map(|role| token(role).encode().unwrap());
    let texts = fuzz::text(
        seeds.iter().map(PrivateKey::expose),
        &["H4sI", "AAAA", "=="],
    );
    fuzz::check!(texts, |text: &str| reads_only_tokens(text));
}

#[test]
fn tokens_in_their_envelope() {
    let seeds = [Role::Worker, Role::Controller].map(|role| token(role).encode().unwrap());
    let packed = seeds
        .iter()
        .map(|text| BASE64_STANDARD.decode(text.expose()).unwrap());
    let words = &["\u{1f}\u{8b}", "\0\0\0"];
    fuzz::check!(fuzz::bytes(packed, words), |packed: &[u8]| {
        reads_only_tokens(&BASE64_STANDARD.encode(packed));
    });
}

#[test]
fn tokens_and_what_is_in_them() {
    let seeds = [Role::Worker, Role::Controller].map(|role| token(role).encode().unwrap());
    let yaml = seeds.iter().map(|text| unpack(text.expose()));
    let words = &[
        "exec:",
        "command: sh",
        "tokenFile: /etc/passwd",
        "proxy-url: http://a",
        "https://",
        "http://",
        "insecure-skip-tls-verify: true",
        "&a",
        "*a",
        "<<: *a",
        "!!binary",
        "---\n",
        "k0s",
        "\n  ",
        "@",
        "?",
        "client-certificate-data: QQ==",
        "user",
        "clusters",
        "|",
        ">-",
    ];
    fuzz::check!(fuzz::bytes(yaml, words), |yaml: &[u8]| {
        reads_only_tokens(&BASE64_STANDARD.encode(pack(yaml)));
    });
}

#[test]
fn bootstrap_secrets() {
    let secret = serde_json::to_value(bootstrap_secret(&BootstrapToken {
        expiration: Some(fixtures::now()),
        ..BootstrapToken::from(&token(Role::Worker))
    }));
    let words = &[
        "token-id",
        "token-secret",
        "expiration",
        "usage-bootstrap-controller-join",
        "true",
        "dHJ1ZQ==",
    ];
    let texts = fuzz::tree([secret.unwrap()], words);
    fuzz::check!(texts, |tree: &serde_json::Value| {
        let Ok(secret) = serde_json::from_value::<Secret>(tree.clone()) else {
            return;
        };
        if let Ok(token) = BootstrapToken::try_from(&secret) {
            let again = BootstrapToken::try_from(&bootstrap_secret(&token)).unwrap();
            assert_eq!((&again.id, again.role), (&token.id, token.role));
            assert_eq!(again.expiration.is_some(), token.expiration.is_some());
        }
    });
}

#[test]
fn bootstrap_secrets_times() {
    let seeds = ["2027-01-01T00:00:00Z", "2027-01-01T02:00:00.75+02:00"];
    fuzz::check!(
        fuzz::text(seeds, &["9999", "-009999", "12-31", "T23:59:60", "[UTC]"]),
        |text: &str| {
            let mut secret = bootstrap_secret(&BootstrapToken::from(&token(Role::Worker)));
            let value = ByteString(text.as_bytes().to_vec());
            secret
                .data
                .as_mut()
                .unwrap()
                .insert("expiration".to_owned(), value);
            if let Ok(token) = BootstrapToken::try_from(&secret) {
                let again = BootstrapToken::try_from(&bootstrap_secret(&token)).unwrap();
                // Parts of a second are cut, before 1970 as well.
                let seconds = |token: &BootstrapToken| token.expiration.unwrap().as_second();
                assert!(seconds(&again).abs_diff(seconds(&token)) <= 1);
            }
        }
    );
}

fn looked_at_by_everybody(pair: &PemPair) {
    let _ = certificates(&pair.certificate);
    let matches = key_matches(pair);
    if let Ok(facts) = inspect(&pair.certificate) {
        assert!(facts.not_before <= facts.renew_at() || facts.not_after < facts.not_before);
        let made = leaf::may_sign(pair);
        assert!(
            !made || matches.is_ok_and(|matches| matches),
            "signs with another's key"
        );
    }
}

#[test]
fn pairs_as_text() {
    let all: Vec<PemPair> = PAIRS.map(fixtures::pair).into();
    let texts = all
        .iter()
        .flat_map(|pair| [pair.certificate.clone(), pair.key.expose().to_owned()]);
    let words = &[
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\n",
        "Proc-Type: 4,ENCRYPTED\n",
        "-----BEGIN PUBLIC KEY-----\n",
        "\n",
        "AAAA",
    ];
    fuzz::check!(
        fuzz::text(texts.collect::<Vec<_>>(), words),
        |text: &str| {
            for pair in &all {
                let certificate = text.to_owned();
                looked_at_by_everybody(&PemPair {
                    certificate,
                    key: pair.key.clone(),
                });
                let key = PrivateKey::new(text);
                looked_at_by_everybody(&PemPair {
                    certificate: pair.certificate.clone(),
                    key,
                });
            }
        }
    );
}

/// Behind the base64: what certificates and keys are made of.
#[test]
fn pairs_as_der() {
    let all: Vec<PemPair> = PAIRS.map(fixtures::pair).into();
    let blocks = |pem: &str| {
        let first = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()).next();
        first.unwrap().unwrap().1
    };
    let seeds: Vec<Vec<u8>> = all
        .iter()
        .flat_map(|pair| [blocks(&pair.certificate), blocks(pair.key.expose())])
        .collect();
    // Tags, lengths and object identifiers.
    let words = &[
        "0\u{7f}",
        "\u{2}\u{1}\0",
        "\u{3}\u{1}",
        "\u{5}\0",
        "\u{6}\u{3}U\u{4}\u{3}",
        "\u{18}\u{f}99991231235959Z",
        "\u{17}\r500101000000Z",
    ];
    let block = |kind: &str, der: &[u8]| {
        format!(
            "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
            BASE64_STANDARD.encode(der)
        )
    };
    fuzz::check!(fuzz::bytes(seeds, words), |der: &[u8]| {
        for kind in ["CERTIFICATE", "PUBLIC KEY"] {
            for pair in &all {
                let certificate = block(kind, der);
                looked_at_by_everybody(&PemPair {
                    certificate,
                    key: pair.key.clone(),
                });
            }
        }
        for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            for pair in &all {
                let key = PrivateKey::new(block(kind, der));
                let certificate = pair.certificate.clone();
                looked_at_by_everybody(&PemPair { certificate, key });
            }
        }
    });
}

#[test]
fn hosts() {
    let seeds = [
        "10.0.0.1",
        "fd00::1",
        "[fd00::1]",
        "kmc-a.default.svc",
        "::ffff:1.2.3.4",
    ];
    fuzz::check!(
        fuzz::text(seeds, &["%eth0", "@", "/", ":6443", "*.", "xn--"]),
        |host: &str| {
            if let Ok(url) = address::https_url(host, 6443) {
                let rest = url.strip_prefix("https://").unwrap();
                assert!(
                    rest.strip_suffix(":6443")
                        .is_some_and(|host| !host.is_empty()),
                    "{url}"
                );
                assert!(!rest.contains(['/', '@', '?', '#', '\\', ' ']), "{url}");
                assert!(url.is_ascii() && !url.contains(char::is_control), "{url}");
            }
        }
    );
}
