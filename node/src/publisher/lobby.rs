//! How many may wait for a certificate at a time. Those that show none may be anybody; those that show one are edges that renew
//! it, and have places of their own, which no stranger takes.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sources::{Place, Places};

/// Strangers at a time: each waits for one entry of the log at most.
const STRANGERS_MAX: usize = 64;

/// Strangers from one address, or one /64 of IPv6: as many edges as start in one moment behind it. More are asked to come again.
const STRANGERS_OF_ADDRESS_MAX: usize = 16;

/// Edges at a time that renew their certificate: each waits for one linearizable read. Of ten thousand with certificates of a week, one comes
/// every half minute.
const RENEWALS_MAX: usize = 64;

/// Where those wait who want a certificate. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Lobby {
    strangers: Arc<Semaphore>,
    of_address: Places,
    renewals: Arc<Semaphore>,
}

/// A place in the lobby, until it is dropped.
#[derive(Debug)]
pub(super) struct Chair {
    _permit: OwnedSemaphorePermit,
    _of_address: Option<Place>,
}

impl Default for Lobby {
    fn default() -> Self {
        Self {
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
            of_address: Places::default(),
            renewals: Arc::new(Semaphore::new(RENEWALS_MAX)),
        }
    }
}

impl Lobby {
    /// A place for whoever comes from there, if one is free. `renews` is said of those that have shown an edge's certificate.
    pub(super) fn enter(&self, from: IpAddr, renews: bool) -> Option<Chair> {
        let permit = |room: &Arc<Semaphore>| Arc::clone(room).try_acquire_owned().ok();
        if renews {
            return Some(Chair {
                _permit: permit(&self.renewals)?,
                _of_address: None,
            });
        }
        let of_address = self.of_address.take(from, STRANGERS_OF_ADDRESS_MAX)?;
        Some(Chair {
            _permit: permit(&self.strangers)?,
            _of_address: Some(of_address),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn from(number: usize) -> IpAddr {
        Ipv4Addr::from(u32::try_from(number).unwrap()).into()
    }

    #[test]
    fn strangers_take_no_place_from_edges_that_renew() {
        let lobby = Lobby::default();
        let strangers: Vec<_> = (0..STRANGERS_MAX)
            .map(|number| lobby.enter(from(number), false).unwrap())
            .collect();
        assert!(lobby.enter(from(STRANGERS_MAX), false).is_none());
        let edge = lobby.enter(from(0), true).unwrap();
        drop(strangers);
        assert!(lobby.enter(from(0), false).is_some());
        drop(edge);
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        let lobby = Lobby::default();
        let mut own: Vec<_> = (0..STRANGERS_OF_ADDRESS_MAX)
            .map(|_| lobby.enter(from(1), false).unwrap())
            .collect();
        assert!(lobby.enter(from(1), false).is_none());
        assert!(lobby.enter(from(2), false).is_some());
        own.pop();
        assert!(lobby.enter(from(1), false).is_some());
    }
}
