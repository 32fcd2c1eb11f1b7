//! Addresses: hosts with ports, networks, and what this machine answers to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};

/// A host (name or address) and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    /// Reads `host`, `host:port`, an IP address, or `[address]:port`.
    ///
    /// # Errors
    /// When there is no host or the port is no port.
    pub fn parse(text: &str, default_port: u16) -> Result<Self> {
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self {
                host: text.into(),
                port: default_port,
            });
        }
        let (host, port) = text
            .rsplit_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port)));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        ensure!(
            !host.is_empty() && !host.contains(['/', ' ', '@']),
            "{text:?} is neither a host nor host:port"
        );
        let port = match port {
            Some(port) => port
                .parse()
                .with_context(|| format!("{text:?}: no valid port"))?,
            None => default_port,
        };
        Ok(Self {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The nth address of a network written as `address/bits`.
///
/// # Errors
/// When the text is no network.
pub fn nth_address(cidr: &str, n: u32) -> Result<IpAddr> {
    let invalid = || format!("{cidr:?} is no network such as 10.96.0.0/12");
    let (address, bits) = cidr.split_once('/').with_context(invalid)?;
    let address: IpAddr = address.parse().with_context(invalid)?;
    let bits: u32 = bits.parse().with_context(invalid)?;
    match address {
        IpAddr::V4(v4) => {
            ensure!(bits <= 32, invalid());
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let first = v4.to_bits() & mask;
            Ok(Ipv4Addr::from_bits(first.saturating_add(n)).into())
        }
        IpAddr::V6(v6) => {
            ensure!(bits <= 128, invalid());
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            let first = v6.to_bits() & mask;
            Ok(Ipv6Addr::from_bits(first.saturating_add(n.into())).into())
        }
    }
}

/// The addresses of this machine's interfaces that others can reach.
pub fn local_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut found: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            if let Some(v4) = address.as_sockaddr_in() {
                return Some(IpAddr::V4(v4.ip()));
            }
            address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
        })
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        })
        .collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("10.0.0.1", "10.0.0.1", 6443)]
    #[case("example.org:30443", "example.org", 30443)]
    #[case("example.org", "example.org", 6443)]
    #[case("[fd00::1]:443", "fd00::1", 443)]
    #[case("fd00::1", "fd00::1", 6443)]
    fn hosts_and_ports(#[case] text: &str, #[case] host: &str, #[case] port: u16) {
        assert_eq!(
            HostPort::parse(text, 6443).unwrap(),
            HostPort {
                host: host.into(),
                port
            }
        );
    }

    #[rstest::rstest]
    #[case("")]
    #[case(":6443")]
    #[case("host:port")]
    #[case("https://host")]
    fn no_hosts(#[case] text: &str) {
        HostPort::parse(text, 6443).unwrap_err();
    }

    #[test]
    fn addresses_of_networks() {
        assert_eq!(
            nth_address("10.96.0.0/12", 10).unwrap().to_string(),
            "10.96.0.10"
        );
        assert_eq!(
            nth_address("10.96.7.0/12", 1).unwrap().to_string(),
            "10.96.0.1"
        );
        assert_eq!(nth_address("fd00::/108", 1).unwrap().to_string(), "fd00::1");
        nth_address("10.96.0.0", 1).unwrap_err();
        nth_address("10.96.0.0/33", 1).unwrap_err();
    }
}
