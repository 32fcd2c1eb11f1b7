//! Texts as the libraries that k0s uses read them: neither stricter nor laxer.

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::names;
use crate::validation::{parse_go_duration, texts};

pub(super) const IP: &str = "must be an IP address";
pub(super) const HOST: &str = "must be an IP address or a DNS name";
pub(super) const DNS_NAME: &str = "must be a DNS name";
pub(super) const HOST_PORT: &str = "must be an address and a port, such as 0.0.0.0:10249";
pub(super) const CIDR: &str = "must be a range of addresses with its mask, such as 10.244.0.0/16";
pub(super) const TRIMMED: &str = "must be an image without a tag";
pub(super) const IMAGE_VERSION: &str = "must be the tag of an image";
pub(super) const LABEL: &str = texts::LABEL;
pub(super) const RELEASE_NAME: &str = "must be the name of a Helm release: lower case alphanumeric characters, '-' or '.', no more than 53 of them";

pub(super) const PROFILE: &str = "must consist of lower case alphanumeric characters, '-' or '.', must start and end with an alphanumeric character, and must be no more than 63 characters";
pub(super) const TIME: &str = "must be a time, such as 2026-01-31T12:00:00Z";

pub(super) const CPU_SET: &str = "must be a set of CPUs, such as 0-3,8";

static CPUS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$").ok());
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*[._]?$").ok()
});
static TAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,})?$").ok()
});
static MOMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{1,2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$").ok()
});
static RELEASE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").ok()
});

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern
        .as_ref()
        .is_none_or(|pattern| pattern.is_match(text))
}

pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

pub(super) fn is_dns_name(text: &str) -> bool {
    text.len() < 1024
        && text.bytes().filter(|byte| *byte != b'.').count() <= 255
        && !is_ip(text)
        && matches(&NAME, text)
}

pub(super) fn is_host(text: &str) -> bool {
    is_ip(text) || is_dns_name(text)
}

/// The host of `host:port`, or all of what is not of this form.
pub(super) fn host(text: &str) -> &str {
    split_port(text).map_or(text, |(host, _)| host)
}

fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!bare.is_empty() && !bare.contains(['[', ']']) && !port.contains(['[', ']']))
        .then_some((bare, port))
}

pub(super) fn is_host_port(text: &str) -> bool {
    split_port(text).is_some_and(|(host, port)| is_host(host) && is_port(port))
}

/// Whether a port, where there is one, can be one.
pub(super) fn has_port_or_none(text: &str) -> bool {
    split_port(text).is_none_or(|(_, port)| is_port(port))
}

fn is_port(digits: &str) -> bool {
    number(digits).is_some_and(|port| (1..=65535).contains(&port))
}

fn number(digits: &str) -> Option<u32> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all)
}

/// A range of addresses: any of its addresses, and its mask.
#[derive(Clone, Copy)]
pub(super) struct Range {
    address: IpAddr,
    pub(super) mask: u32,
}

impl Range {
    pub(super) fn is_v4(&self) -> bool {
        self.address.to_canonical().is_ipv4()
    }

    /// How many bits of an address are free in it.
    pub(super) fn free_bits(&self) -> u32 {
        self.width() - self.mask
    }

    const fn width(&self) -> u32 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn bits(&self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => address.into(),
        }
    }

    /// Whether the two have an address in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let shared = self.width() - self.mask.min(other.mask);
        self.width() == other.width()
            && self.bits().checked_shr(shared) == other.bits().checked_shr(shared)
    }
}

pub(super) fn range(text: &str) -> Option<Range> {
    let (address, mask) = text.split_once('/')?;
    let range = Range {
        address: address.parse().ok()?,
        mask: number(mask)?,
    };
    (range.mask <= range.width()).then_some(range)
}

pub(super) fn is_cidr(text: &str) -> bool {
    range(text).is_some()
}

/// Unlike those of our own API they may be negative.
pub(super) fn is_duration(text: &str) -> bool {
    !text.starts_with("-+") && duration(text).is_some()
}

/// In nanoseconds.
pub(super) fn duration(text: &str) -> Option<i128> {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let nanoseconds = i128::try_from(parse_go_duration(rest).ok()?.as_nanos()).ok()?;
    Some(sign * nanoseconds)
}

pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && names::is_label(text)
}

/// It becomes a part of a ConfigMap's name, and a label. An empty one is as good.
pub(super) fn is_profile(text: &str) -> bool {
    text.is_empty() || text.len() <= 63 && names::is_object_name(text)
}

pub(super) fn is_time(text: &str) -> bool {
    matches(&MOMENT, text)
}

pub(super) fn is_release_name(text: &str) -> bool {
    text.len() <= 53 && matches(&RELEASE, text)
}

pub(super) fn is_cpu_set(text: &str) -> bool {
    matches(&CPUS, text)
}

pub(super) fn is_trimmed(text: &str) -> bool {
    text.trim() == text
}

pub(super) fn is_image_version(text: &str) -> bool {
    matches(&TAG, text)
}

/// What k0s finds at a path. It takes no notice of capitals, and of several it takes the last.
pub(super) fn get<'a>(config: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(config, |value, name| {
        let fields = value.as_object()?.iter();
        fields
            .filter(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null())
            .max_by_key(|(key, _)| *key)
            .map(|(_, value)| value)
    })
}

/// The text there.
pub(super) fn get_text<'a>(config: &'a Value, path: &[&str]) -> Option<&'a str> {
    get(config, path)?.as_str()
}
