//! Join tokens as text: a kubeconfig, packed with gzip and written in base64.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use zeroize::Zeroizing;

use super::{JoinToken, Role, TokenError};
use crate::kubeconfig::{self, Kubeconfig, KubeconfigNames, NamedUser, User};
use crate::{PrivateKey, certificates};

/// The most that a token may unpack to. A real one has a few KiB; a small text can unpack to
/// gigabytes.
const MAX_UNPACKED: usize = 1024 * 1024;

/// The name of cluster and context in every token.
const NAME: &str = "k0s";

impl JoinToken {
    /// The token as text, on one line. The same token always gives the same text.
    ///
    /// As the text holds the secret it comes as a [`PrivateKey`].
    pub fn encode(&self) -> Result<PrivateKey, TokenError> {
        let names = KubeconfigNames {
            cluster: NAME.into(),
            user: self.role.user().into(),
            context: NAME.into(),
        };
        let user = User {
            client_certificate_data: None,
            client_key_data: None,
            token: Some(format!("{}.{}", self.id, self.secret.expose())),
        };
        let yaml = Kubeconfig::new(&names, &self.server, &self.ca_certificate, user)
            .to_yaml()
            .map_err(TokenError::Write)?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(yaml.expose().as_bytes())
            .map_err(TokenError::Pack)?;
        let packed = Zeroizing::new(gzip.finish().map_err(TokenError::Pack)?);
        Ok(PrivateKey::new(BASE64_STANDARD.encode(packed.as_slice())))
    }

    /// Reads a token, as strict as can be: exactly what k0s itself writes is accepted, apart from
    /// YAML's freedom in how the same values are written.
    ///
    /// At most 1 MiB is unpacked, whatever the text says.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        // Gzip makes nothing larger by more than a few bytes, so what is longer as base64 is too
        // large unpacked as well.
        if text.len() > MAX_UNPACKED * 2 {
            return Err(TokenError::TooLarge {
                limit: MAX_UNPACKED,
            });
        }
        let packed = Zeroizing::new(
            BASE64_STANDARD
                .decode(text)
                .map_err(|_| TokenError::Base64)?,
        );
        let yaml = unpack(&packed)?;
        let config = kubeconfig::parse(&yaml).ok_or(TokenError::Kubeconfig)?;
        Self::from_kubeconfig(&config)
    }

    fn from_kubeconfig(config: &Kubeconfig) -> Result<Self, TokenError> {
        if config.kind != "Config" || config.api_version != "v1" {
            return Err(TokenError::Kubeconfig);
        }
        let ([cluster], [context], [user]) = (
            config.clusters.as_slice(),
            config.contexts.as_slice(),
            config.users.as_slice(),
        ) else {
            return Err(TokenError::Shape(
                "it must have one cluster, one context and one user",
            ));
        };
        if cluster.name != NAME
            || context.name != NAME
            || config.current_context != NAME
            || context.context.cluster != NAME
            || context.context.user != user.name
        {
            return Err(TokenError::Shape("its names are not those of a join token"));
        }
        let role = [Role::Worker, Role::Controller]
            .into_iter()
            .find(|role| role.user() == user.name)
            .ok_or(TokenError::Shape("its user is that of no role"))?;
        if !cluster.cluster.server.starts_with("https://") {
            return Err(TokenError::Shape("its server is no https address"));
        }
        let ca_certificate = BASE64_STANDARD
            .decode(&cluster.cluster.certificate_authority_data)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .filter(|pem| certificates(pem).is_ok())
            .ok_or(TokenError::Shape("its authority is no certificate"))?;
        let (id, secret) = bearer(user)?
            .split_once('.')
            .ok_or(TokenError::Shape("its token has no dot"))?;
        Ok(Self {
            role,
            server: cluster.cluster.server.clone(),
            ca_certificate,
            id: id.parse()?,
            secret: secret.parse()?,
        })
    }
}

fn bearer(user: &NamedUser) -> Result<&str, TokenError> {
    let user = &user.user;
    if user.client_certificate_data.is_some() || user.client_key_data.is_some() {
        return Err(TokenError::Shape("its user has a certificate"));
    }
    user.token
        .as_deref()
        .ok_or(TokenError::Shape("its user has no token"))
}

fn unpack(packed: &[u8]) -> Result<Zeroizing<String>, TokenError> {
    let limit = u64::try_from(MAX_UNPACKED).unwrap_or(u64::MAX);
    let mut unpacked = Zeroizing::new(String::new());
    let mut stream = GzDecoder::new(packed).take(limit + 1);
    let read = stream.read_to_string(&mut unpacked);
    // Before the result: a cut in the middle of a character is an error too, but not the reason.
    if stream.limit() == 0 {
        return Err(TokenError::TooLarge {
            limit: MAX_UNPACKED,
        });
    }
    read.map_err(|_| TokenError::Gzip)?;
    let rest = stream.into_inner().into_inner();
    if rest.is_empty() {
        Ok(unpacked)
    } else {
        Err(TokenError::Gzip)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::fixtures;

    fn token() -> JoinToken {
        JoinToken {
            role: Role::Worker,
            server: "https://10.0.0.1:30443".into(),
            ca_certificate: fixtures::pair("rsa-pkcs1").certificate,
            id: "abc123".parse().unwrap(),
            secret: "0123456789abcdef".parse().unwrap(),
        }
    }

    fn pack(yaml: &str) -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(yaml.as_bytes()).unwrap();
        BASE64_STANDARD.encode(gzip.finish().unwrap())
    }

    fn yaml() -> String {
        let text = token().encode().unwrap();
        unpack(&BASE64_STANDARD.decode(text.expose()).unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_token_is_the_kubeconfig_that_k0s_expects() {
        let yaml = yaml();
        let value: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        let ca = BASE64_STANDARD.encode(fixtures::pair("rsa-pkcs1").certificate);
        assert_eq!(
            value,
            serde_json::json!({
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "k0s", "cluster": {
                    "server": "https://10.0.0.1:30443", "certificate-authority-data": ca,
                }}],
                "contexts": [{"name": "k0s", "context": {
                    "cluster": "k0s", "user": "kubelet-bootstrap",
                }}],
                "current-context": "k0s",
                "preferences": {},
                "users": [{"name": "kubelet-bootstrap", "user": {
                    "token": "abc123.0123456789abcdef",
                }}],
            })
        );
    }

    /// A token of only digits would be read as a number if it were written without quotes.
    #[test]
    fn a_token_that_looks_like_a_number_stays_text() {
        let token = JoinToken {
            id: "123456".parse().unwrap(),
            secret: "1234567890123456".parse().unwrap(),
            ..token()
        };
        let text = token.encode().unwrap();
        assert_eq!(JoinToken::decode(text.expose()).unwrap(), token);
        let unpacked = unpack(&BASE64_STANDARD.decode(text.expose()).unwrap()).unwrap();
        assert!(
            unpacked.contains("\"123456.1234567890123456\"")
                || unpacked.contains("'123456.1234567890123456'")
        );
    }

    #[test]
    fn the_text_is_one_line_and_always_the_same() {
        let text = token().encode().unwrap();
        assert!(!text.expose().contains(char::is_whitespace));
        assert_eq!(text, token().encode().unwrap());
    }

    #[rstest]
    #[case::not_base64("no base64!", |e: &TokenError| matches!(e, TokenError::Base64))]
    #[case::empty("", |e: &TokenError| matches!(e, TokenError::Gzip))]
    #[case::not_gzip("AAAA", |e: &TokenError| matches!(e, TokenError::Gzip))]
    #[case::not_yaml(&pack("\t{"), |e: &TokenError| matches!(e, TokenError::Kubeconfig))]
    #[case::no_kubeconfig(&pack("a: 1"), |e: &TokenError| matches!(e, TokenError::Kubeconfig))]
    #[case::line_feed(&format!("{}\n", token().encode().unwrap().expose()),
        |e: &TokenError| matches!(e, TokenError::Base64))]
    fn what_is_no_token_is_told_apart(
        #[case] text: &str,
        #[case] is_expected: fn(&TokenError) -> bool,
    ) {
        let error = JoinToken::decode(text).unwrap_err();
        assert!(is_expected(&error), "{error:?}");
    }

    #[rstest]
    #[case("name: k0s", "name: other")]
    #[case("kubelet-bootstrap", "somebody")]
    #[case("https://", "http://")]
    #[case("abc123.", "abc12.")]
    #[case("abc123.", "ABC123.")]
    #[case("abc123.", "abc123")]
    #[case("0123456789abcdef", "0123456789abcde")]
    #[case("token:", "exec:")]
    #[case("token:", "tokenFile:")]
    #[case("server:", "proxy-url: http://a\n    server:")]
    #[case("server:", "insecure-skip-tls-verify: true\n    server:")]
    #[case("certificate-authority-data: LS0", "certificate-authority-data: AAA")]
    #[case("kind: Config", "kind: Secret")]
    fn a_kubeconfig_that_is_no_tokens_is_refused(#[case] from: &str, #[case] to: &str) {
        let yaml = yaml();
        assert!(yaml.contains(from), "{from} is not in {yaml}");
        let changed = yaml.replace(from, to);
        assert!(JoinToken::decode(&pack(&changed)).is_err(), "{changed}");
    }

    #[test]
    fn a_gzip_bomb_is_not_unpacked() {
        let bomb = pack(&" ".repeat(64 * 1024 * 1024));
        assert!(bomb.len() < 1024 * 1024);
        assert!(matches!(
            JoinToken::decode(&bomb),
            Err(TokenError::TooLarge { .. })
        ));
        let long = "A".repeat(8 * 1024 * 1024);
        assert!(matches!(
            JoinToken::decode(&long),
            Err(TokenError::TooLarge { .. })
        ));
    }

    #[test]
    fn nothing_may_follow_the_gzip_stream() {
        let text = token().encode().unwrap();
        let mut packed = BASE64_STANDARD.decode(text.expose()).unwrap();
        packed.extend_from_slice(b"more");
        let longer = BASE64_STANDARD.encode(&packed);
        assert!(matches!(JoinToken::decode(&longer), Err(TokenError::Gzip)));
        packed.truncate(packed.len() - 8);
        let shorter = BASE64_STANDARD.encode(&packed);
        assert!(matches!(JoinToken::decode(&shorter), Err(TokenError::Gzip)));
    }

    #[test]
    fn neither_debug_nor_errors_show_the_secret() {
        let token = token();
        assert!(!format!("{token:?}").contains("0123456789abcdef"));
        let broken = yaml().replace("token:", "tokens:");
        let error = JoinToken::decode(&pack(&broken)).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("0123456789abcdef"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            worker in any::<bool>(),
            host in any::<std::net::IpAddr>(),
            port in any::<u16>(),
            id in "[a-z0-9]{6}",
            secret in "[a-z0-9]{16}",
        ) {
            let role = if worker { Role::Worker } else { Role::Controller };
            let token = JoinToken {
                role,
                server: super::super::join_url(&host.to_string(), role, port).unwrap(),
                id: id.parse().unwrap(),
                secret: secret.parse().unwrap(),
                ..token()
            };
            let text = token.encode().unwrap();
            prop_assert_eq!(JoinToken::decode(text.expose()).unwrap(), token);
        }
    }
}
