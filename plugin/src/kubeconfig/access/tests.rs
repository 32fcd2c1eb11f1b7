use kube::client::ConfigExt as _;
use rcgen::{CertificateParams, KeyPair};

use super::*;

/// What a pod has, with a token in a file, and what it comes to for a user.
async fn of_pod(user: &User, named: bool) -> Result<(Vec<String>, String), Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "pods-own").unwrap();
    let mut config = Config::new("https://10.96.0.1".parse().unwrap());
    config.auth_info.token_file = Some(file.path().display().to_string());
    let access = Access::of_pod(config, user, named).await?;
    let headers = access.config.headers.iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let says = access.credential.header().await?;
    let says = says.map(|value| value.to_str().unwrap().to_owned());
    Ok((headers.collect(), says.unwrap_or_default()))
}

#[tokio::test]
async fn in_a_pod_the_flags_mean_what_they_mean_elsewhere() {
    let named = |change: fn(&mut User)| {
        let mut user = User::default();
        change(&mut user);
        user
    };
    let own = "Bearer pods-own";
    let token = named(|user| user.token = "given".into());
    for (user, is_named, says) in [
        (User::default(), false, own),
        (token.clone(), true, "Bearer given"),
        // Somebody who is known to another cluster.
        (token, false, own),
        (
            named(|user| user.username = "me".into()),
            true,
            "Basic bWU6",
        ),
        (named(|user| user.impersonate = "jane".into()), true, own),
    ] {
        let (_, said) = of_pod(&user, is_named).await.unwrap();
        assert_eq!(said, says);
    }
    let whole = named(|user| {
        user.impersonate = "jane".into();
        user.as_uid = "7".into();
        user.as_groups = vec!["dev".into()];
    });
    let (headers, _) = of_pod(&whole, false).await.unwrap();
    let expected = [
        "impersonate-user: jane",
        "impersonate-uid: 7",
        "impersonate-group: dev",
    ];
    assert_eq!(headers, expected);
    // Whoever leaves out the user would act with all that the pod may.
    for user in [
        named(|user| user.as_groups = vec!["dev".into()]),
        named(|user| user.as_uid = "7".into()),
    ] {
        let refused = of_pod(&user, false).await.unwrap_err();
        assert!(refused.to_string().contains("mean nothing without as"));
    }
}

fn block(label: &str) -> String {
    format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
}

#[tokio::test]
async fn of_what_somebody_shows_all_but_certificates_and_the_first_key_is_passed_over() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let params = CertificateParams::new(Vec::new()).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let (key, other) = (key.serialize_pem(), other.serialize_pem());
    let cluster = Cluster {
        server: "https://127.0.0.1:1".into(),
        ..Cluster::default()
    };
    let shown = |certificate: String, key: String| User {
        client_certificate_data: certificate.into(),
        client_key_data: key.into(),
        ..User::default()
    };
    let (request, list) = (block("CERTIFICATE REQUEST"), block("X509 CRL"));
    let public = block("PUBLIC KEY");
    let user = shown(
        format!("mine\n{request}{certificate}{list}{other}"),
        format!("{public}{certificate}{key}{other}"),
    );
    let access = Access::new(&cluster, &user).await.unwrap();
    access.config.rustls_client_config().unwrap();
    for (user, why) in [
        (
            shown(request, key.clone()),
            "client-certificate must be certificates in PEM",
        ),
        (
            shown(certificate.clone() + &key, public),
            "client-key must be a private key in PEM",
        ),
    ] {
        let Err(refused) = Access::new(&cluster, &user).await else {
            panic!("it is to be refused: {why}");
        };
        assert!(refused.to_string().contains(why), "{refused}");
    }
    // Another key than the certificate's is not taken for it.
    let user = shown(certificate, other + &key);
    let access = Access::new(&cluster, &user).await.unwrap();
    assert!(access.config.rustls_client_config().is_err());
}

#[tokio::test]
async fn a_zone_is_for_who_looks_up_the_address_and_not_for_its_certificate() {
    let shown = |server: &str| address(server).map(|url| url.to_string());
    for (server, url) in [
        (
            "https://[fe80::1%25eth0]:6443",
            "https://[fe80::1%eth0]:6443/",
        ),
        ("[fe80::1%25eth0]:80", "http://[fe80::1%eth0]:80/"),
        (
            "https://[fe80::1%25eth0]/a%25b",
            "https://[fe80::1%eth0]/a%25b",
        ),
        ("https://[fe80::1]/a%25b", "https://[fe80::1]/a%25b"),
        ("https://a/%5B%5D", "https://a/%5B%5D"),
    ] {
        assert_eq!(shown(server).unwrap(), url);
    }
    assert!(shown("https://[fe80::1%eth0]:6443").is_err());
    for (name, held_against) in [("", "fe80::1"), ("api.example.org", "api.example.org")] {
        let cluster = Cluster {
            server: "https://[fe80::1%25eth0]:6443".into(),
            tls_server_name: name.into(),
            ..Cluster::default()
        };
        let access = Access::new(&cluster, &User::default()).await.unwrap();
        assert_eq!(access.config.tls_server_name.as_deref(), Some(held_against));
    }
}
