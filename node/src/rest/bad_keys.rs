//! Keys that are not good, by the address that they come from: whoever tries many is told to wait,
//! and costs the cluster nothing more. A good key passes from every address, so that nobody is locked
//! out by others behind the same one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use domain::time::Timestamp;
use parking_lot::Mutex;

use crate::sources::source;

/// For how long bad keys count, from the first of them on.
const SPAN_MS: u64 = 60_000;

/// From how many sources bad keys are counted at a time, in less than a megabyte. Those of more
/// sources at once are refused as ever.
const SOURCES_MAX: usize = 4_096;

/// What came from each source lately.
#[derive(Debug, Default)]
pub(crate) struct BadKeys {
    sources: Mutex<BTreeMap<u128, Counted>>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    since: Timestamp,
    count: u32,
}

impl Counted {
    fn ends_at_ms(self) -> u64 {
        self.since.0.saturating_add(SPAN_MS)
    }
}

impl BadKeys {
    /// Takes note of a bad key.
    pub(crate) fn note(&self, address: IpAddr, now: Timestamp) {
        let mut sources = self.sources.lock();
        if sources.len() >= SOURCES_MAX {
            sources.retain(|_, counted| counted.ends_at_ms() > now.0);
        }
        let has_room = sources.len() < SOURCES_MAX;
        let fresh = Counted {
            since: now,
            count: 0,
        };
        let source = source(address);
        if let Some(counted) = sources.get_mut(&source) {
            if counted.ends_at_ms() <= now.0 {
                *counted = fresh;
            }
            counted.count = counted.count.saturating_add(1);
        } else if has_room {
            sources.insert(source, Counted { count: 1, ..fresh });
        }
    }

    /// In how many milliseconds more bad keys are looked at, if so many came from there.
    pub(crate) fn wait_ms(&self, address: IpAddr, now: Timestamp, max: u32) -> Option<u64> {
        let counted = self.sources.lock().get(&source(address)).copied()?;
        // A clock that went back makes nobody wait for longer.
        let left_ms = counted.ends_at_ms().saturating_sub(now.0).min(SPAN_MS);
        Some(left_ms).filter(|left_ms| *left_ms > 0 && counted.count >= max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn so_many_bad_keys_of_one_source_count_for_a_minute() {
        let keys = BadKeys::default();
        let wait = |from, at| keys.wait_ms(address(from), Timestamp(at), 3);
        for at in [1_000, 2_000, 3_000] {
            assert_eq!(wait("192.0.2.1", at), None);
            keys.note(address("192.0.2.1"), Timestamp(at));
        }
        assert_eq!(wait("192.0.2.1", 3_000), Some(58_000));
        assert_eq!(wait("192.0.2.1", 0), Some(60_000));
        assert_eq!(wait("::ffff:192.0.2.1", 60_999), Some(1));
        assert_eq!(wait("192.0.2.2", 3_000), None);
        assert_eq!(wait("192.0.2.1", 61_000), None);
        keys.note(address("192.0.2.1"), Timestamp(61_000));
        assert_eq!(wait("192.0.2.1", 61_000), None);
    }

    #[test]
    fn one_client_of_ipv6_has_many_addresses() {
        let keys = BadKeys::default();
        for last in 1..=3 {
            let of_client = format!("2001:db8:0:1::{last}");
            keys.note(address(&of_client), Timestamp(0));
        }
        let wait = |from| keys.wait_ms(address(from), Timestamp(0), 3);
        assert_eq!(wait("2001:db8:0:1:ffff::1"), Some(SPAN_MS));
        assert_eq!(wait("2001:db8:0:2::1"), None);
    }

    #[test]
    fn no_more_sources_are_remembered_than_there_is_room_for() {
        let keys = BadKeys::default();
        let number = |number: usize| {
            let number = u32::try_from(number).unwrap();
            IpAddr::from(number.to_be_bytes())
        };
        for source in 0..=SOURCES_MAX {
            keys.note(number(source), Timestamp(0));
        }
        assert_eq!(keys.sources.lock().len(), SOURCES_MAX);
        assert_eq!(keys.wait_ms(number(SOURCES_MAX), Timestamp(0), 1), None);
        keys.note(number(SOURCES_MAX), Timestamp(SPAN_MS));
        assert_eq!(keys.sources.lock().len(), 1);
    }
}
