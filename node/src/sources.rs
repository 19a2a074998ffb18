//! Whom an address on the network stands for, and how many places each of them has of what all share. What the places are, and
//! how many there are, is said by whoever hands them out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The prefix of an IPv6 address that one client has to itself.
const CLIENT_PREFIX: u128 = !(u64::MAX as u128);

/// Who an address stands for: itself, if it is one of IPv4, and all of its /64, if it is one of IPv6.
pub(crate) fn source(address: IpAddr) -> u128 {
    let bits = |address: Ipv6Addr| u128::from(address);
    match address.to_canonical() {
        IpAddr::V4(address) => bits(address.to_ipv6_mapped()),
        IpAddr::V6(address) => bits(address) & CLIENT_PREFIX,
    }
}

/// How many places each source has. Cloning shares it. There is an entry for each source that has one, and no other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<BTreeMap<u128, usize>>>);

/// A place of a source, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    source: u128,
}

impl Places {
    /// A place for whoever comes from `address`, unless it has `max` of them.
    pub(crate) fn take(&self, address: IpAddr, max: usize) -> Option<Place> {
        let source = source(address);
        let mut counts = self.0.lock();
        let count = counts.get(&source).copied().unwrap_or_default();
        if count >= max {
            return None;
        }
        counts.insert(source, count + 1);
        Some(Place {
            places: self.clone(),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.0.lock();
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_source_has_so_many_places_until_it_leaves_them() {
        let places = Places::default();
        let take = |from| places.take(address(from), 2);
        let first = take("192.0.2.1").unwrap();
        let second = take("::ffff:192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(first);
        let third = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        drop((second, third));
        assert!(places.0.lock().is_empty());
    }

    #[test]
    fn one_client_of_ipv6_has_many_addresses() {
        let places = Places::default();
        let _first = places.take(address("2001:db8:0:1::1"), 1).unwrap();
        assert!(places.take(address("2001:db8:0:1:ffff::1"), 1).is_none());
        assert!(places.take(address("2001:db8:0:2::1"), 1).is_some());
    }
}
