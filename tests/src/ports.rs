//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use crate::failure::Failure;

/// Below the ports that Linux hands out to outgoing connections, so that a port that was free a
/// moment ago is still free when a component binds it.
const FIRST: u16 = 17_000;

/// Ports of a process: others leave them alone for as long as it runs, also while a component that
/// starts again does not listen for a moment.
const BLOCK: u16 = 1_600;
const BLOCKS: u16 = 8;

/// The ports that are this process's own.
struct Own {
    /// Listens on the first, which says that the others are taken.
    _guard: TcpListener,
    /// The second.
    first: u16,
    /// The port after the last one that was handed out.
    next: u16,
}

static OWN: Mutex<Option<Own>> = Mutex::new(None);

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

impl Own {
    fn take() -> Option<Self> {
        // Suites that start at the same moment need not try the same ones in the same order.
        let start = u16::try_from(seed() % u64::from(BLOCKS)).unwrap_or_default();
        (start..BLOCKS).chain(0..start).find_map(|block| {
            let first = FIRST + block * BLOCK;
            Some(Self {
                _guard: listen(first)?,
                first: first + 1,
                next: first + 1,
            })
        })
    }

    /// One that nobody listens on, and what keeps others from it.
    fn hand_out(&mut self) -> Option<(u16, TcpListener)> {
        let last = self.first + (BLOCK - 2);
        let mut candidates = (self.next..=last).chain(self.first..self.next);
        let found = candidates.find_map(|port| Some((port, listen(port)?)));
        if let Some((port, _)) = &found {
            // Not the same again soon: nobody may have bound it yet.
            self.next = if *port == last { self.first } else { port + 1 };
        }
        found
    }
}

/// As many different free TCP ports as asked for.
pub fn free<const N: usize>() -> Result<[u16; N], Failure> {
    let last = FIRST + BLOCKS * BLOCK - 1;
    let busy = |what: String| Failure::Busy {
        what: format!("{what} from {FIRST} to {last} on 127.0.0.1"),
        hint: "end what listens there".to_owned(),
    };
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if own.is_none() {
        *own = Own::take();
    }
    let own = own
        .as_mut()
        .ok_or_else(|| busy(format!("the first of every {BLOCK} TCP ports")))?;
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let (number, listener) = own
            .hand_out()
            .ok_or_else(|| busy("every TCP port of a process".to_owned()))?;
        *port = number;
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
    fn nobody_else_takes_what_is_a_process_s_own() {
        let one = Own::take().unwrap();
        let other = Own::take().unwrap();
        assert_ne!(one.first, other.first);
        let first = one.first;
        drop(one);
        assert!(listen(first - 1).is_some());
    }

    #[test]
    fn what_somebody_listens_on_is_left_out() {
        let mut own = Own::take().unwrap();
        let [taken, next] = [own.first, own.first + 1];
        let _somebody = listen(taken).unwrap();
        assert_eq!(own.hand_out().unwrap().0, next);
        own.next = own.first + (BLOCK - 2);
        let last = own.next;
        assert_eq!(own.hand_out().unwrap().0, last);
        assert_eq!(own.hand_out().unwrap().0, next);
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
