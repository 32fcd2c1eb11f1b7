//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use crate::failure::Failure;

/// Below the ports that Linux hands out to outgoing connections, so that a port that was free a
/// moment ago is still free when a component binds it.
const FIRST: u16 = 17_000;
const LAST: u16 = 29_999;

/// The port after the last one that this process has handed out.
static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// As many different free TCP ports as asked for.
pub fn free<const N: usize>() -> Result<[u16; N], Failure> {
    let busy = || Failure::Busy {
        what: format!("every TCP port from {FIRST} to {LAST} on 127.0.0.1"),
        hint: "end what listens there".to_owned(),
    };
    // Suites that start at the same moment must not try the same ports in the same order, nor one what it
    // has handed out itself and nobody has bound yet.
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let start = next.unwrap_or_else(|| {
        FIRST + u16::try_from(seed() % u64::from(LAST - FIRST)).unwrap_or_default()
    });
    let mut held = Vec::new();
    let mut ports = [0; N];
    let mut candidates = (start..=LAST).chain(FIRST..start);
    for port in &mut ports {
        let (number, listener) = candidates
            .by_ref()
            .find_map(|number| {
                TcpListener::bind((Ipv4Addr::LOCALHOST, number))
                    .ok()
                    .map(|held| (number, held))
            })
            .ok_or_else(busy)?;
        *port = number;
        *next = Some(if number == LAST { FIRST } else { number + 1 });
        held.push(listener);
    }
    Ok(ports)
}

fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Its keys are random for each process and differ from call to call.
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

/// A range of Service addresses that lead to this machine without anybody's doing, another for each
/// process: two may run beside each other.
pub fn services() -> String {
    format!("127.{}.0.0/16", 64 + std::process::id() % 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_are_handed_out_differ_and_can_be_bound() {
        let ports: [u16; 4] = free().unwrap();
        for (index, port) in ports.iter().enumerate() {
            assert!(!ports[..index].contains(port));
            TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap();
        }
    }

    #[test]
    fn no_port_is_handed_out_again_that_may_not_be_bound_yet() {
        let mut all: Vec<u16> = Vec::new();
        for _ in 0..200 {
            let [port] = free().unwrap();
            assert!(!all.contains(&port));
            all.push(port);
        }
    }
}
