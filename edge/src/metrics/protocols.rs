//! By which HTTP requests came, and what became of those who would connect over QUIC.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Version;

use super::{Tally, Writer, add};

/// The versions that are told apart, the last one standing for any other.
const VERSIONS: [(Version, &str); 4] = [
    (Version::HTTP_11, "HTTP/1.1"),
    (Version::HTTP_2, "HTTP/2"),
    (Version::HTTP_3, "HTTP/3"),
    (Version::HTTP_10, "HTTP/1.0"),
];

/// One thread's counts.
#[derive(Debug, Default)]
pub struct Counts {
    answered: [AtomicU64; VERSIONS.len()],
    retried: AtomicU64,
}

impl Counts {
    /// A request that came by this version was answered.
    pub fn answered(&self, version: Version) {
        let place = VERSIONS.iter().position(|(known, _)| *known == version);
        add(&self.answered[place.unwrap_or(VERSIONS.len() - 1)], 1);
    }

    /// A client was told to show that its address is its own, by connecting once more.
    pub fn retried(&self) {
        add(&self.retried, 1);
    }
}

/// Writes what the serving threads count.
pub(super) fn encode(writer: &mut Writer<'_, '_>, tallies: &[Arc<Tally>]) -> fmt::Result {
    let sum = |counter: &dyn Fn(&Counts) -> &AtomicU64| {
        tallies
            .iter()
            .map(|tally| counter(&tally.protocols).load(Ordering::Relaxed))
            .sum::<u64>()
    };
    let answered = VERSIONS
        .into_iter()
        .enumerate()
        .map(|(place, (_, protocol))| {
            (
                [("protocol", protocol)],
                sum(&|counts| &counts.answered[place]),
            )
        });
    writer.counters("requests", "Requests answered by how they came", answered)?;
    writer.counter(
        "quic_retries",
        "Clients that were told to show that their address is theirs",
        sum(&|counts| &counts.retried),
    )
}
