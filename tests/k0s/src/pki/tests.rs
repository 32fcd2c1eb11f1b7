use std::process::Command;

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn openssl(dir: &Path, args: &[&str]) {
    let output = Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A CA as other tools make it, in the given key form.
fn foreign_ca(dir: &Path, make_key: &[&str]) {
    openssl(dir, make_key);
    openssl(
        dir,
        &[
            "req",
            "-x509",
            "-new",
            "-key",
            "ca.key",
            "-subj",
            "/CN=kubernetes",
            "-days",
            "2",
            "-out",
            "ca.crt",
        ],
    );
}

#[rstest::rstest]
#[case::rsa_pkcs1(&["genrsa", "-traditional", "-out", "ca.key", "2048"])]
#[case::rsa_pkcs8(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "ca.key"])]
#[case::ec_sec1(&["ecparam", "-name", "prime256v1", "-genkey", "-out", "ca.key"])]
#[case::ec_pkcs8(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "ca.key"])]
fn given_authorities_of_every_form_issue(#[case] make_key: &[&str]) {
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    foreign_ca(dir.path(), make_key);
    let ca = Authority::load(&dir.path().join("ca")).unwrap();
    let subject = Subject {
        common_name: "someone",
        ..Subject::default()
    };
    ca.issue_to(&dir.path().join("leaf"), &subject, DAY)
        .unwrap();
    openssl(dir.path(), &["verify", "-CAfile", "ca.crt", "leaf.crt"]);
}

#[test]
fn a_controller_has_all_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(Some(dir.path().into()), None, None);
    let mut config = ClusterConfig::parse(
        "spec: {api: {externalAddress: api.example.org, sans: [more, 10.9.8.7]}}",
    )
    .unwrap();
    config.settle_address();
    prepare(&paths, &config).unwrap();
    let ca = read(&paths.pki("ca.crt")).unwrap();
    let sa = read(&paths.pki("sa.pub")).unwrap();
    assert!(sa.contains("PUBLIC KEY"));

    let pem = read(&paths.pki("server.crt")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    assert!(certificate.subject().to_string().contains("CN=kubernetes"));
    let sans = certificate.subject_alternative_name().unwrap().unwrap();
    let sans = format!("{:?}", sans.value.general_names);
    for name in [
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "api.example.org",
        "more",
    ] {
        assert!(
            sans.contains(&format!("\"{name}\"")),
            "{name} not in {sans}"
        );
    }
    for address in ["127, 0, 0, 1", "10, 96, 0, 1", "10, 9, 8, 7"] {
        let octets: Vec<u8> = address
            .split(", ")
            .map(|octet| octet.parse().unwrap())
            .collect();
        assert!(
            sans.contains(&format!("{octets:?}")) || sans.contains(&address.replace(", ", "."))
        );
    }

    prepare(&paths, &config).unwrap();
    assert_eq!(
        read(&paths.pki("ca.crt")).unwrap(),
        ca,
        "a CA once made stays"
    );
    assert_eq!(read(&paths.pki("sa.pub")).unwrap(), sa);

    std::fs::remove_file(paths.pki("ca.key")).unwrap();
    let server = read(&paths.pki("server.crt")).unwrap();
    prepare(&paths, &config).unwrap();
    assert_eq!(
        read(&paths.pki("server.crt")).unwrap(),
        server,
        "no key, no new certificate"
    );
}
