//! What all callers of a server share: connections, requests and bytes, of each so many at once.
//!
//! Anybody in the mothership may call, so that one caller could take all of it and wait. Whoever
//! has the most therefore gives way when nothing is free: the one of its holders that has waited
//! longest for its peer is ended. What comes in time, as from an API server, waits for nothing.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The next connection, and who has opened it.
pub async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, source)) => return (stream, source.ip().to_canonical()),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Out of file descriptors, mostly: the next try would fail the same way.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// So many of one thing.
pub struct Shares {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: usize,
    last: u64,
    holders: BTreeMap<u64, Holder>,
}

struct Holder {
    source: IpAddr,
    amount: usize,
    /// Since when it waits for its peer; not while it works.
    waits: Option<Instant>,
    end: CancellationToken,
}

/// What one connection or request holds, until it is dropped.
pub struct Share {
    shares: Arc<Shares>,
    id: u64,
    end: CancellationToken,
}

/// Nothing is free, and nobody waits.
#[derive(Debug)]
pub struct Full;

impl Shares {
    /// So many, of which nobody has any yet.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: Mutex::default(),
        })
    }

    /// One who holds nothing yet, and waits for its peer.
    pub fn enter(self: &Arc<Self>, source: IpAddr) -> Share {
        let end = CancellationToken::new();
        let mut held = self.held.lock();
        held.last += 1;
        let id = held.last;
        let holder = Holder {
            source,
            amount: 0,
            waits: Some(Instant::now()),
            end: end.clone(),
        };
        held.holders.insert(id, holder);
        Share {
            shares: self.clone(),
            id,
            end,
        }
    }
}

impl Held {
    /// Ends who has to give way to one who asks for more; whether there was anybody.
    fn make_room(&mut self, asking: u64, amount: usize) -> bool {
        let mut of_source: HashMap<IpAddr, usize> = HashMap::new();
        for (id, holder) in &self.holders {
            let asked = if *id == asking { amount } else { 0 };
            *of_source.entry(holder.source).or_default() += holder.amount + asked;
        }
        let waiting = self
            .holders
            .iter()
            .filter(|(id, holder)| **id != asking && holder.amount > 0)
            .filter_map(|(id, holder)| Some((id, holder, holder.waits?)));
        let share = |source| of_source.get(source).copied().unwrap_or_default();
        let greedy = waiting.max_by(|(_, one, since), (_, other, later)| {
            let shares = share(&one.source).cmp(&share(&other.source));
            shares.then_with(|| later.cmp(since))
        });
        let own = self.holders.get(&asking);
        let own = own.map_or(0, |holder| share(&holder.source));
        // Nobody gives way to one who has more.
        let Some((id, _, _)) = greedy.filter(|(_, holder, _)| share(&holder.source) >= own) else {
            return false;
        };
        let id = *id;
        if let Some(holder) = self.holders.remove(&id) {
            self.total -= holder.amount;
            holder.end.cancel();
        }
        true
    }
}

impl Share {
    /// Takes so much more.
    pub fn take(&self, amount: usize) -> Result<(), Full> {
        let mut held = self.shares.held.lock();
        while held.total + amount > self.shares.limit {
            if !held.make_room(self.id, amount) {
                return Err(Full);
            }
        }
        // Who was ended holds nothing any more.
        let holder = held.holders.get_mut(&self.id).ok_or(Full)?;
        holder.amount += amount;
        held.total += amount;
        Ok(())
    }

    /// From now on it does not wait for its peer.
    pub fn works(&self) {
        self.set(None);
    }

    /// From now on it waits for its peer.
    pub fn waits(&self) {
        self.set(Some(Instant::now()));
    }

    fn set(&self, waits: Option<Instant>) {
        if let Some(holder) = self.shares.held.lock().holders.get_mut(&self.id) {
            holder.waits = waits;
        }
    }

    /// Waits until it has to give way.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock();
        if let Some(holder) = held.holders.remove(&self.id) {
            held.total -= holder.amount;
        }
    }
}
