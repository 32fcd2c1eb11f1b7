//! Whether a proxy is on the way to a server: what the kubeconfig says, else what Go reads of
//! the environment.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;

/// A proxy, without a word of who logs in to it in what is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub protocol: Protocol,
    /// Scheme, host and port.
    pub address: Uri,
    /// Name and password.
    pub login: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Https,
    Socks5,
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = self.address.scheme_str().unwrap_or_default();
        let host = self.address.authority().map_or("", |host| host.as_str());
        write!(f, "{scheme}://{host}")
    }
}

impl Proxy {
    /// What `proxy-url` names.
    pub fn new(text: &str) -> Result<Self, String> {
        let must = "must be http://, https:// or socks5:// with a host";
        let (scheme, rest) = text.split_once("://").ok_or(must)?;
        let scheme = scheme.to_ascii_lowercase();
        let (protocol, port) = match scheme.as_str() {
            "http" => (Protocol::Http, 80),
            "https" => (Protocol::Https, 443),
            "socks5" => (Protocol::Socks5, 1080),
            _ => return Err(must.to_owned()),
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, host) = match rest.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, rest),
        };
        let login = login.map(|login| {
            let (name, password) = login.split_once(':').unwrap_or((login, ""));
            (unescaped(name), unescaped(password))
        });
        let host: http::uri::Authority = host.parse().map_err(|_| must)?;
        if host.host().is_empty() {
            return Err(must.to_owned());
        }
        let port = host.port_u16().unwrap_or(port);
        // Whoever connects looks at the scheme for whether the proxy speaks TLS.
        let address = format!("{scheme}://{}:{port}", host.host());
        Ok(Self {
            protocol,
            address: address.parse().map_err(|_| must)?,
            login,
        })
    }

    /// What the environment names for this server, as Go's `ProxyFromEnvironment` has it.
    pub fn of_environment(
        server: &Uri,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let either = |upper: &str| {
            let lower = upper.to_ascii_lowercase();
            let given = |name: &str| variable(name).filter(|value| !value.is_empty());
            given(upper).or_else(|| given(&lower)).unwrap_or_default()
        };
        let (name, port) = match server.scheme_str() {
            Some("https") => ("HTTPS_PROXY", 443),
            _ => ("HTTP_PROXY", 80),
        };
        let proxy = either(name);
        let host = server.host().unwrap_or_default();
        let port = server.port_u16().unwrap_or(port);
        if proxy.is_empty() || is_direct(host, port, &either("NO_PROXY")) {
            return Ok(None);
        }
        // Go's socks5 leaves the name to the proxy too.
        let proxy = proxy.replacen("socks5h://", "socks5://", 1);
        let whole = if proxy.contains("://") {
            proxy
        } else {
            format!("http://{proxy}")
        };
        Self::new(&whole)
            .map(Some)
            .map_err(|why| format!("{name} {why}"))
    }
}

/// Whether a server is reached without the environment's proxy.
fn is_direct(host: &str, port: u16, exceptions: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.to_ascii_lowercase();
    let address = host
        .parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical());
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let exceptions = exceptions.to_ascii_lowercase();
    exceptions
        .split(',')
        .map(str::trim)
        .filter(|exception| !exception.is_empty())
        .any(|exception| exception == "*" || excepts(exception, &host, port, address))
}

fn excepts(exception: &str, host: &str, port: u16, address: Option<IpAddr>) -> bool {
    if let Ok(net) = exception.parse::<IpNet>() {
        return address.is_some_and(|address| net.contains(&address));
    }
    // An address of IPv6 has a port only behind brackets.
    let (name, only) = match exception.rsplit_once(':') {
        Some((name, port)) if name.starts_with('[') && name.ends_with(']') => {
            (name.trim_matches(['[', ']']), port)
        }
        Some((name, port)) if !name.contains(':') => (name, port),
        _ => (exception, ""),
    };
    if !only.is_empty() && only != port.to_string() {
        return false;
    }
    if let Ok(excepted) = name.parse::<IpAddr>() {
        return address == Some(excepted.to_canonical());
    }
    let below_it = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
    let domain = below_it.unwrap_or(name);
    let rest = host.strip_suffix(domain).filter(|_| !domain.is_empty());
    let is_in = |rest: &str| rest.ends_with('.') || (rest.is_empty() && below_it.is_none());
    address.is_none() && rest.is_some_and(is_in)
}

fn unescaped(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests;
