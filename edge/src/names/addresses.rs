//! The addresses behind one name, and whose turn it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;

/// The addresses behind a name; none before the first answer.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Locked for writing when an answer comes that is another one.
    known: RwLock<Vec<SocketAddr>>,
    /// How often they became others. It moves only while `known` is locked for writing.
    changes: AtomicU64,
    turn: AtomicUsize,
}

impl Addresses {
    /// The addresses, in the order in which they are to be tried: each is the first in turn.
    #[must_use]
    pub fn in_turn(&self) -> Vec<SocketAddr> {
        let mut addresses = self.known.read().clone();
        if addresses.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(turn);
        }
        addresses
    }

    /// Takes an answer. The order is made the same for the same addresses, because name servers
    /// change it to spread load, which is done here already.
    pub fn set(&self, mut addresses: Vec<SocketAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        if *self.known.read() != addresses {
            let mut known = self.known.write();
            *known = addresses;
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// How often they became others.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether this is one of them, as far as anything is known.
    #[must_use]
    pub fn has(&self, address: SocketAddr) -> bool {
        let known = self.known.read();
        known.is_empty() || known.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_comes_first_in_turn() {
        let address = |last: u8| SocketAddr::from(([192, 0, 2, last], 80));
        let addresses = Addresses::default();
        assert!(addresses.in_turn().is_empty());
        addresses.set(vec![address(3), address(1), address(2), address(1)]);
        let order: Vec<_> = (0..4)
            .map(|_| {
                addresses
                    .in_turn()
                    .iter()
                    .map(|address| address.ip().to_string().as_bytes()[8] - b'0')
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(order, [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]);
    }
}
