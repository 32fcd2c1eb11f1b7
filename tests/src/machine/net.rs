//! Addresses and links of machines.
//!
//! A mothership takes one free `10.N.0.0/16`:
//!
//! ```text
//! 10.N.0.1 ── 10.N.0.2      host and mothership machine; the second is the node's address
//! 10.N.1.4k+1 ── 10.N.1.4k+2  mothership machine and its k-th worker
//! 10.N.64.0/20              pods
//! 10.N.128.0/20             Services
//! ```

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::run;
use crate::failure::Failure;

/// Never the ranges that k0s gives to pods (10.244) and Services (10.96 to 10.111) of the clusters
/// that a mothership hosts.
const CANDIDATES: std::ops::RangeInclusive<u8> = 180..=239;

/// The addresses of one mothership.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range(pub u8);

impl Range {
    fn at(self, third: u8, fourth: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, third, fourth)
    }

    /// The host's end of the link.
    pub fn host(self) -> Ipv4Addr {
        self.at(0, 1)
    }

    /// The node's address: API server, DNS and `NodePort`s.
    pub fn node(self) -> Ipv4Addr {
        self.at(0, 2)
    }

    /// All of it.
    pub fn all(self) -> String {
        format!("{}/16", self.at(0, 0))
    }

    /// Pods.
    pub fn pods(self) -> String {
        format!("{}/20", self.at(64, 0))
    }

    /// Services.
    pub fn services(self) -> String {
        format!("{}/20", self.at(128, 0))
    }

    /// The API server's Service address.
    pub fn api_service(self) -> Ipv4Addr {
        self.at(128, 1)
    }

    /// The mothership's end of the link to a worker, 0 to 62.
    pub fn gateway_of(self, worker: u8) -> Ipv4Addr {
        self.at(1, worker.saturating_mul(4).saturating_add(1))
    }

    /// A worker's address.
    pub fn worker(self, worker: u8) -> Ipv4Addr {
        self.at(1, worker.saturating_mul(4).saturating_add(2))
    }

    /// One that no route and no address of this machine overlaps.
    pub(crate) async fn choose() -> Result<Self> {
        #[derive(Deserialize)]
        struct Route {
            dst: String,
        }
        let mut command = Command::new("ip");
        command.args(["-json", "-4", "route", "show", "table", "all"]);
        let routes: Vec<Route> =
            serde_json::from_str(&run(command).await?).context("reading the routes")?;
        let taken: Vec<(u32, u32)> = routes
            .iter()
            .filter_map(|route| parse_range(&route.dst))
            .collect();
        choose_from(&taken).ok_or_else(|| {
            Failure::Busy {
                what: "every range from 10.180.0.0/16 to 10.239.0.0/16".to_owned(),
                hint: "look at `ip route`, and end other motherships with `mothership down`"
                    .to_owned(),
            }
            .into()
        })
    }
}

/// Held from the choice of a range until its route is set, lest two motherships that start at once
/// choose the same.
pub(crate) async fn lock_ranges() -> Result<std::fs::File> {
    let folder = crate::paths::cache()?;
    tokio::task::spawn_blocking(move || {
        let path = folder.join("ranges.lock");
        let lock =
            std::fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        lock.lock()
            .context("waiting for another mothership to choose its addresses")?;
        Ok(lock)
    })
    .await?
}

/// First and last address of a route, `default` left out.
fn parse_range(text: &str) -> Option<(u32, u32)> {
    let (address, length) = text.split_once('/').unwrap_or((text, "32"));
    let first = u32::from(address.parse::<Ipv4Addr>().ok()?);
    let length: u32 = length.parse().ok()?;
    // 0.0.0.0/1 and its like are defaults in disguise, set by some VPNs.
    if length < 8 {
        return None;
    }
    let size = 1_u32.checked_shl(32 - length).unwrap_or(1);
    Some((first, first.saturating_add(size - 1)))
}

fn choose_from(taken: &[(u32, u32)]) -> Option<Range> {
    CANDIDATES.map(Range).find(|range| {
        let first = u32::from(range.at(0, 0));
        let last = u32::from(range.at(255, 255));
        taken
            .iter()
            .all(|(start, end)| *end < first || *start > last)
    })
}

/// Runs `ip` in the network namespace of a process; of the host without one.
async fn ip(pid: Option<i32>, words: &str) -> Result<()> {
    let mut command = match pid {
        Some(pid) => {
            let mut command = Command::new("nsenter");
            command
                .arg(format!("--target={pid}"))
                .args(["--net", "--", "ip"]);
            command
        }
        None => Command::new("ip"),
    };
    command.args(words.split_whitespace());
    run(command).await.map(drop)
}

/// Runs `iptables` in the network namespace of a process.
pub(crate) async fn iptables(pid: i32, words: &str) -> Result<String> {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--target={pid}"))
        .args(["--net", "--", "iptables", "-w"]);
    command.args(words.split_whitespace());
    run(command).await
}

/// One end of a link.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// Whose network namespace; the host's without one.
    pub pid: Option<i32>,
    /// The interface's name.
    pub name: String,
    pub address: Ipv4Addr,
}

/// Lays a cable between two network namespaces.
pub(crate) async fn link(outer: &End, inner: &End) -> Result<()> {
    let Some(inner_pid) = inner.pid else {
        bail!("the inner end of a link is in a machine")
    };
    ip(
        outer.pid,
        &format!(
            "link add {} type veth peer name {} netns {inner_pid}",
            outer.name, inner.name
        ),
    )
    .await?;
    for end in [outer, inner] {
        ip(
            end.pid,
            &format!("addr add {}/30 dev {}", end.address, end.name),
        )
        .await?;
        ip(end.pid, &format!("link set {} up", end.name)).await?;
    }
    ip(inner.pid, "link set lo up").await?;
    ip(
        inner.pid,
        &format!("route add default via {}", outer.address),
    )
    .await
}

/// Sends the whole range of a mothership to its machine.
pub(crate) async fn route_to(range: Range, interface: &str) -> Result<()> {
    ip(
        None,
        &format!(
            "route add {} via {} dev {interface}",
            range.all(),
            range.node()
        ),
    )
    .await
}

/// Removes the host's end of a link, if it is still there.
pub(crate) async fn unlink(interface: &str) {
    let _ = ip(None, &format!("link del {interface}")).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_a_route_touches_is_not_taken() {
        let taken: Vec<_> = [
            "default",
            "10.180.3.0/24",
            "10.181.255.255",
            "10.182.0.0/15",
            "192.0.2.0/24",
        ]
        .iter()
        .filter_map(|text| parse_range(text))
        .collect();
        assert_eq!(choose_from(&taken), Some(Range(184)));
    }

    #[test]
    fn a_route_to_all_private_addresses_takes_everything() {
        let taken = [parse_range("10.0.0.0/8").unwrap()];
        assert_eq!(choose_from(&taken), None);
    }

    #[test]
    fn links_to_workers_do_not_overlap() {
        let range = Range(180);
        assert_eq!(range.worker(0), Ipv4Addr::new(10, 180, 1, 2));
        assert_eq!(range.gateway_of(1), Ipv4Addr::new(10, 180, 1, 5));
        assert_eq!(range.worker(62), Ipv4Addr::new(10, 180, 1, 250));
    }
}
