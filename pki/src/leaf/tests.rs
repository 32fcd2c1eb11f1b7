//! What leaves are good for, and which CAs can sign them.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{ServerName, UnixTime};

use super::*;
use crate::{ca, fixtures, inspect, key_matches};

fn request() -> LeafRequest {
    LeafRequest {
        common_name: "kubernetes-admin".into(),
        organization: Some("system:masters".into()),
        sans: vec![
            "kmc-a.default.svc".into(),
            "10.96.0.1".into(),
            "fd00::1".into(),
        ],
        server: true,
        client: true,
        lifetime: SignedDuration::from_hours(24 * 365),
    }
}

fn roots(ca: &PemPair) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(pem::first_certificate(&ca.certificate).unwrap())
        .unwrap();
    Arc::new(roots)
}

fn unix(moment: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        u64::try_from(moment.as_second()).unwrap(),
    ))
}

fn is_server_for(ca: &PemPair, leaf: &PemPair, name: &str, now: Timestamp) -> bool {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots(ca), Arc::new(default_provider()))
            .build()
            .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let der = pem::first_certificate(&leaf.certificate).unwrap();
    verifier
        .verify_server_cert(&der, &[], &name, &[], unix(now))
        .is_ok()
}

fn is_client(ca: &PemPair, leaf: &PemPair, now: Timestamp) -> bool {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(ca), Arc::new(default_provider()))
            .build()
            .unwrap();
    let der = pem::first_certificate(&leaf.certificate).unwrap();
    verifier.verify_client_cert(&der, &[], unix(now)).is_ok()
}

/// What `openssl verify` says, or nothing where there is no openssl.
fn openssl_verifies(ca: &PemPair, leaf: &PemPair, now: Timestamp) -> Option<bool> {
    Command::new("openssl").arg("version").output().ok()?;
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let (ca, leaf) = (file(&ca.certificate), file(&leaf.certificate));
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslclient", "-attime"])
        .arg(now.as_second().to_string())
        .arg("-CAfile")
        .arg(ca.path())
        .arg(leaf.path())
        .output()
        .unwrap();
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Some(output.status.success())
}

#[rstest]
#[case::ours(None)]
#[case::upstream_rsa_pkcs1_serial_0(Some("rsa-pkcs1"))]
#[case::rsa_pkcs8_long_subject_no_key_identifier(Some("rsa-pkcs8"))]
#[case::p256_sec1(Some("ec-sec1"))]
#[case::p384_pkcs8(Some("ec-p384"))]
#[case::ed25519(Some("ed25519"))]
fn a_leaf_of_every_kind_of_ca_is_accepted(#[case] ca: Option<&str>) {
    let now = fixtures::now();
    let ours = ca.is_none();
    let ca = ca.map_or_else(
        || ca::new("kubernetes", now, ca::LIFETIME).unwrap(),
        fixtures::pair,
    );
    let leaf = issue(&ca, &request(), now).unwrap();
    assert!(key_matches(&leaf).unwrap());
    for name in ["kmc-a.default.svc", "10.96.0.1", "fd00::1"] {
        assert!(is_server_for(&ca, &leaf, name, now), "{name}");
    }
    assert!(!is_server_for(&ca, &leaf, "other.default.svc", now));
    assert!(is_client(&ca, &leaf, now));
    // Strict mode wants a key identifier in the CA, which a user's own may lack.
    if ours {
        match openssl_verifies(&ca, &leaf, now) {
            Some(verified) => assert!(verified),
            None => eprintln!("SKIP: there is no openssl to verify with"),
        }
    }

    let der = pem::first_certificate(&leaf.certificate).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert!(!certificate.is_ca());
    assert_eq!(
        certificate.issuer().to_string(),
        inspect(&ca.certificate).unwrap().issuer
    );
    let facts = inspect(&leaf.certificate).unwrap();
    assert_eq!(facts.subject_cn.as_deref(), Some("kubernetes-admin"));
    assert_eq!(facts.organizations, ["system:masters"]);
    assert_eq!(facts.sans, ["kmc-a.default.svc", "10.96.0.1", "fd00::1"]);
    assert_eq!(facts.not_after, now + request().lifetime);
    assert!(now < facts.renew_at() && facts.renew_at() < facts.not_after);
}

#[test]
fn a_certificate_is_good_only_for_the_uses_it_was_made_for() {
    let now = fixtures::now();
    let ca = fixtures::pair("rsa-pkcs1");
    let client = LeafRequest {
        server: false,
        ..request()
    };
    let leaf = issue(&ca, &client, now).unwrap();
    assert!(is_client(&ca, &leaf, now));
    assert!(!is_server_for(&ca, &leaf, "10.96.0.1", now));
    let server = LeafRequest {
        client: false,
        ..request()
    };
    let leaf = issue(&ca, &server, now).unwrap();
    assert!(!is_client(&ca, &leaf, now));
    assert!(is_server_for(&ca, &leaf, "10.96.0.1", now));
}

#[test]
fn a_leaf_ends_with_its_ca_at_the_latest() {
    let now = fixtures::now();
    let ca = ca::new("kubernetes", now, SignedDuration::from_hours(1)).unwrap();
    let leaf = issue(&ca, &request(), now).unwrap();
    let (ca_facts, leaf_facts) = (
        inspect(&ca.certificate).unwrap(),
        inspect(&leaf.certificate).unwrap(),
    );
    assert_eq!(leaf_facts.not_after, ca_facts.not_after);
    assert_eq!(leaf_facts.not_before, ca_facts.not_before);

    for moment in [
        now + SignedDuration::from_hours(2),
        now - SignedDuration::from_hours(1),
    ] {
        assert!(matches!(
            issue(&ca, &request(), moment),
            Err(PkiError::AuthorityNotValid { .. })
        ));
    }
}

#[test]
fn a_leaf_signs_nothing() {
    let now = fixtures::now();
    let leaf = issue(&fixtures::pair("ec-sec1"), &request(), now).unwrap();
    assert!(matches!(
        issue(&leaf, &request(), now),
        Err(PkiError::NotAnAuthority(_))
    ));
}

#[rstest]
#[case("")]
#[case("a b")]
#[case("https://a")]
#[case("a.*.b")]
#[case("*")]
#[case("10.0.0.1:6443")]
fn a_name_that_no_certificate_can_carry_is_refused(#[case] san: &str) {
    let request = LeafRequest {
        sans: vec![san.into()],
        ..request()
    };
    assert!(matches!(
        issue(&fixtures::pair("ec-sec1"), &request, fixtures::now()),
        Err(PkiError::SubjectAlternativeName(_))
    ));
}

#[test]
fn wildcards_are_allowed_and_repetitions_dropped() {
    let request = LeafRequest {
        sans: [
            "*.kmc-a-etcd.ns.svc",
            "localhost",
            "localhost",
            "::1",
            "0:0::1",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..request()
    };
    let leaf = issue(&fixtures::pair("ec-sec1"), &request, fixtures::now()).unwrap();
    assert_eq!(
        inspect(&leaf.certificate).unwrap().sans,
        ["*.kmc-a-etcd.ns.svc", "localhost", "::1"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the names and times: the chain validates within its span and not outside of it.
    #[test]
    fn chains_validate(
        common_name in "[a-z:]{1,64}",
        host in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z]{1,10}){0,3}",
        ip in any::<std::net::IpAddr>(),
        start in 0_i64..4_000_000_000,
        seconds in 1_i64..400_000_000,
    ) {
        let now = Timestamp::from_second(start + 300).unwrap();
        let ca = ca::new("kubernetes", now, ca::LIFETIME).unwrap();
        let request = LeafRequest {
            common_name,
            sans: vec![host.clone(), ip.to_string()],
            lifetime: SignedDuration::from_secs(seconds),
            ..request()
        };
        let leaf = issue(&ca, &request, now).unwrap();
        let facts = inspect(&leaf.certificate).unwrap();
        for moment in [facts.not_before, now, facts.renew_at(), facts.not_after] {
            prop_assert!(is_server_for(&ca, &leaf, &host, moment));
            prop_assert!(is_server_for(&ca, &leaf, &ip.to_string(), moment));
        }
        let late = facts.not_after + SignedDuration::from_secs(1);
        prop_assert!(!is_server_for(&ca, &leaf, &host, late));
    }
}

#[test]
fn only_a_ca_whose_key_fits_may_sign() {
    let now = fixtures::now();
    let make = |name: &str| ca::new(name, now, ca::LIFETIME).unwrap();
    let (ca, other) = (make("a"), make("b"));
    assert!(may_sign(&ca));
    let mismatched = PemPair {
        key: other.key,
        ..ca.clone()
    };
    assert!(!may_sign(&mismatched));
    let request = LeafRequest {
        common_name: "leaf".to_owned(),
        organization: None,
        sans: vec!["a.example.org".to_owned()],
        server: true,
        client: false,
        lifetime: SignedDuration::from_hours(1),
    };
    assert!(!may_sign(&issue(&ca, &request, now).unwrap()));
}

/// A subject that comes out shortened makes leaves that nobody accepts.
#[test]
fn a_ca_whose_name_is_not_understood_may_not_sign() {
    assert!(may_sign(&fixtures::pair("ec-sec1")));
    assert!(!may_sign(&fixtures::pair("two-units")));
}

/// RFC 5280 has a date for "no expiry", and other people's CAs say it.
#[test]
fn a_certificate_without_expiry_is_read() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.not_after = rcgen::date_time_ymd(9999, 12, 31);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let facts = crate::inspect(&certificate.pem()).unwrap();
    assert!(facts.not_after > fixtures::now());
    let broken = "-----BEGIN CERTIFICATE-----\nAA@A";
    let chain = format!("{}{broken}", certificate.pem());
    assert!(
        crate::inspect(&chain).is_ok(),
        "only the first is looked at"
    );
}
