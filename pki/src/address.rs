//! Hosts and URLs of hosted clusters.

use std::net::IpAddr;

use super::PkiError;

/// Whether `name` is a DNS name as a certificate or a URL may carry it; a leading `*.` is allowed
/// where `wildcard` says so.
pub(super) fn is_dns_name(name: &str, wildcard: bool) -> bool {
    let name = match name.strip_prefix("*.") {
        Some(rest) if wildcard => rest,
        Some(_) => return false,
        None => name,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

/// `https://host:port`, with an IPv6 address in brackets whether it came in them or not.
///
/// Fails when `host` is neither an IP address nor a DNS name; so nothing that a user wrote can
/// add a path, a user or a second host to the URL.
pub fn https_url(host: &str, port: u16) -> Result<String, PkiError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Ok(format!("https://[{address}]:{port}")),
        Ok(IpAddr::V4(address)) => Ok(format!("https://{address}:{port}")),
        Err(_) if is_dns_name(host, false) => Ok(format!("https://{host}:{port}")),
        Err(_) => Err(PkiError::Host(host.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.0.1", "https://10.0.0.1:6443")]
    #[case("fd00::1", "https://[fd00::1]:6443")]
    #[case("[fd00::1]", "https://[fd00::1]:6443")]
    #[case("kmc-a.default.svc", "https://kmc-a.default.svc:6443")]
    fn hosts_become_urls(#[case] host: &str, #[case] url: &str) {
        assert_eq!(https_url(host, 6443).unwrap(), url);
    }

    #[rstest]
    #[case("")]
    #[case("a/b")]
    #[case("user@host")]
    #[case("host:6443")]
    #[case("fd00::1%eth0")]
    #[case("a b")]
    #[case("*.example.org")]
    #[case("-a")]
    fn what_is_no_host_is_refused(#[case] host: &str) {
        assert!(matches!(https_url(host, 6443), Err(PkiError::Host(_))));
    }
}
