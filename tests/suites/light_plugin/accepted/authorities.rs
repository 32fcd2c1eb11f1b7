//! Whose signature on an API server's certificate counts.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::*;

/// `openssl ca -selfsign` without extensions: of the first version, until the year 9999.
const OLD: &str = "\
-----BEGIN CERTIFICATE-----
MIIBBDCBrAIBATAKBggqhkjOPQQDAjAOMQwwCgYDVQQDDANvbGQwIBcNMDAwMTAx
MDAwMDAwWhgPOTk5OTEyMzEyMzU5NTlaMA4xDDAKBgNVBAMMA29sZDBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNX/ZFC1MPBOC1Isx8d0XXtnCWFiwCnPtDc6/W2m
QN3XrugCmfXPx+sxj/ZXOQ+VVUSGUjm4+kzHX0Ntrfva13wwCgYIKoZIzj0EAwID
RwAwRAIgQGTcjH41DiKGht2RrjAmkgTSWyTEGcH3erfNh7sLGLUCIGHWmfcN2mu1
7RFIb9juET4LxRh4WeaNiLyviepDM43P
-----END CERTIFICATE-----
";
const ITS_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKDnv0dJrQ2qyDSiJ
nMoPS9kdq84sAF0IQgxPGQq8NY6hRANCAATV/2RQtTDwTgtSLMfHdF17ZwlhYsAp
z7Q3Ov1tpkDd167oApn1z8frMY/2VzkPlVVEhlI5uPpMx19Dba372td8
-----END PRIVATE KEY-----
";

fn authority() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(params)
}

fn server() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "server");
    params.is_ca = IsCa::ExplicitNoCa;
    Ok(params)
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2001, 1, 1);
    params
}

fn used_for(mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    params.extended_key_usages = vec![purpose];
    params
}

/// A server that shows this certificate, and what is named as its authority.
async fn showing(
    oracle: &Oracle,
    name: &'static str,
    (shown, key): (&Certificate, &KeyPair),
    named: &[&str],
) -> Result<Case> {
    sending(oracle, name, (&[shown], key), named).await
}

/// The same, that shows others besides.
async fn sending(
    oracle: &Oracle,
    name: &'static str,
    (shown, key): (&[&Certificate], &KeyPair),
    named: &[&str],
) -> Result<Case> {
    let port = oracle.showing(shown, key).await?;
    let file = format!("{port}.pem");
    std::fs::write(oracle.home().join(&file), named.concat())?;
    let cluster = format!("server: 'https://127.0.0.1:{port}', certificate-authority: {file}");
    Ok(case(name, one(&cluster, "token: abc")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_vouched_for_by_whom_kubectl_lets() -> Result<()> {
    let oracle = Oracle::start().await?;
    let (root_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let issuer = Issuer::new(authority()?, &root_key);
    let signed = server()?.signed_by(&key, &issuer)?;
    let mut cases = Vec::new();

    let root = authority()?.self_signed(&root_key)?.pem();
    let ended = expired(authority()?).self_signed(&root_key)?.pem();
    let mut to_come = authority()?;
    to_come.not_before = date_time_ymd(4000, 1, 1);
    let to_come = to_come.self_signed(&root_key)?.pem();
    let mut none = authority()?;
    none.is_ca = IsCa::ExplicitNoCa;
    let none = none.self_signed(&root_key)?.pem();
    let mut silent = authority()?;
    silent.is_ca = IsCa::NoCa;
    let silent = silent.self_signed(&root_key)?.pem();
    let mut another_use = authority()?;
    another_use.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let another_use = another_use.self_signed(&root_key)?.pem();
    for (name, named) in [
        ("a root", vec![root.as_str()]),
        ("a root that has expired", vec![&ended]),
        ("a root whose time is to come", vec![&to_come]),
        ("a root that is no authority", vec![&none]),
        ("a root that does not say what it is", vec![&silent]),
        ("a root for another use", vec![&another_use]),
        ("a root that was made anew", vec![&ended, &root]),
        ("somebody else", vec![OLD]),
        ("itself, signed by somebody else", vec![&signed.pem()]),
    ] {
        cases.push(showing(&oracle, name, (&signed, &key), &named).await?);
    }

    let own = server()?.self_signed(&key)?;
    cases.push(showing(&oracle, "itself", (&own, &key), &[&own.pem()]).await?);
    let past = expired(server()?).self_signed(&key)?;
    cases.push(showing(&oracle, "itself, expired", (&past, &key), &[&past.pem()]).await?);
    let forger = Issuer::new(server()?, &key);
    let other_key = KeyPair::generate()?;
    let forged = server()?.signed_by(&other_key, &forger)?;
    cases.push(showing(&oracle, "a server", (&forged, &other_key), &[&own.pem()]).await?);

    let mut old = CertificateParams::new(Vec::new())?;
    old.distinguished_name = rcgen::DistinguishedName::new();
    old.distinguished_name
        .push(DnType::CommonName, rcgen::DnValue::Utf8String("old".into()));
    let old = Issuer::new(old, KeyPair::from_pem(ITS_KEY)?);
    let signed = server()?.signed_by(&key, &old)?;
    cases.push(
        showing(
            &oracle,
            "a root of the first version",
            (&signed, &key),
            &[OLD],
        )
        .await?,
    );

    compare(&oracle, &cases)?;
    let [_, (_, plugin)] = oracle.both(&cases[1])?;
    plugin.expect(5, &["may sign others now", "right certificate-authority"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_taken_for_what_kubectl_takes_it_for() -> Result<()> {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};

    let oracle = Oracle::start().await?;
    let (root_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let issuer = Issuer::new(authority()?, &root_key);
    let signed = server()?.signed_by(&key, &issuer)?;
    let root = authority()?.self_signed(&root_key)?.pem();
    let mut cases = Vec::new();
    for (name, purpose) in [
        ("a root for clients", ClientAuth),
        ("a root for servers", ServerAuth),
        ("a root for any", Any),
    ] {
        let named = used_for(authority()?, purpose)
            .self_signed(&root_key)?
            .pem();
        cases.push(showing(&oracle, name, (&signed, &key), &[&named]).await?);
    }
    for (name, purpose) in [
        ("a server for clients", ClientAuth),
        ("a server for servers", ServerAuth),
        ("a server for any", Any),
    ] {
        let signed = used_for(server()?, purpose).signed_by(&key, &issuer)?;
        cases.push(showing(&oracle, name, (&signed, &key), &[&root]).await?);
    }
    for (name, params) in [
        ("itself, for clients", used_for(server()?, ClientAuth)),
        ("itself, for any", used_for(server()?, Any)),
        ("itself, an authority for clients", {
            let mut both = used_for(server()?, ClientAuth);
            both.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            both
        }),
    ] {
        let own = params.self_signed(&key)?;
        cases.push(showing(&oracle, name, (&own, &key), &[&own.pem()]).await?);
    }
    compare(&oracle, &cases)
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_come_between_are_as_many_and_such_as_kubectl_lets() -> Result<()> {
    let oracle = Oracle::start().await?;
    let (root_key, first_key) = (KeyPair::generate()?, KeyPair::generate()?);
    let (second_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let called = |name: &str| -> Result<CertificateParams> {
        let mut params = authority()?;
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(params)
    };
    let within = |mut params: CertificateParams, most: u8| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
        params
    };
    let root = Issuer::new(authority()?, &root_key);
    let named = [
        authority()?.self_signed(&root_key)?.pem(),
        within(authority()?, 0).self_signed(&root_key)?.pem(),
        within(authority()?, 1).self_signed(&root_key)?.pem(),
        within(authority()?, 2).self_signed(&root_key)?.pem(),
    ];
    let first_issuer = Issuer::new(called("first")?, &first_key);
    let first = called("first")?.signed_by(&first_key, &root)?;
    let second = called("second")?.signed_by(&second_key, &first_issuer)?;
    let of_first = server()?.signed_by(&key, &first_issuer)?;
    let second_issuer = Issuer::new(called("second")?, &second_key);
    let of_second = server()?.signed_by(&key, &second_issuer)?;
    let mut cases = Vec::new();
    for named in &named {
        let chain = [&of_first, &first];
        cases.push(sending(&oracle, "one between", (&chain, &key), &[named]).await?);
        let chain = [&of_second, &second, &first];
        cases.push(sending(&oracle, "two between", (&chain, &key), &[named]).await?);
    }
    // Either will do, and one does.
    let both = [named[1].as_str(), &named[0]];
    let chain = [&of_first, &first];
    cases.push(sending(&oracle, "two of a name", (&chain, &key), &both).await?);

    let mut for_another = called("first")?;
    for_another.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let mut silent = called("first")?;
    silent.is_ca = IsCa::NoCa;
    let short = within(called("first")?, 0).signed_by(&first_key, &root)?;
    for (name, between) in [
        ("one for another use", for_another),
        ("one that is no authority", silent),
        ("one that has expired", expired(called("first")?)),
        (
            "one for clients",
            used_for(called("first")?, ExtendedKeyUsagePurpose::ClientAuth),
        ),
        (
            "one for any",
            used_for(called("first")?, ExtendedKeyUsagePurpose::Any),
        ),
    ] {
        let between = between.signed_by(&first_key, &root)?;
        let chain = [&of_first, &between];
        cases.push(sending(&oracle, name, (&chain, &key), &[&named[0]]).await?);
    }
    let chain = [&of_second, &second, &short];
    cases.push(sending(&oracle, "one that is short", (&chain, &key), &[&named[0]]).await?);
    compare(&oracle, &cases)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_good_for_what_can_be_read_of_it() -> Result<()> {
    let oracle = Oracle::start().await?;
    let (root_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let signed = server()?.signed_by(&key, &Issuer::new(authority()?, &root_key))?;
    let root = authority()?.self_signed(&root_key)?.pem();
    let block =
        |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let (no_base64, no_der) = (block("no base64!"), block("bm8gY2VydGlmaWNhdGU="));
    let half = root.lines().take(3).collect::<Vec<_>>().join("\n") + "\n";
    let key_block = root_key.serialize_pem();
    let mut cases = Vec::new();
    for (name, named) in [
        ("no base64 before", vec![no_base64.as_str(), &root]),
        ("no base64 behind", vec![&root, &no_base64]),
        ("no certificate before", vec![&no_der, &root]),
        ("no certificate behind", vec![&root, &no_der]),
        ("a half before", vec![&half, &root]),
        ("a half behind", vec![&root, &half]),
        ("a key and words before", vec![&key_block, "mine:\n", &root]),
        ("no base64 alone", vec![&no_base64]),
        ("no certificate alone", vec![&no_der]),
        ("a half alone", vec![&half]),
        ("nothing", vec!["\n"]),
    ] {
        cases.push(showing(&oracle, name, (&signed, &key), &named).await?);
    }
    compare(&oracle, &cases)
}
