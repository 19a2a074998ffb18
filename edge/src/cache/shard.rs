//! A part of the cache under one lock: the answers for some URLs, and who is fetching which.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::HeaderMap;
use tokio::sync::watch;

use super::asked::Asked;
use super::changes::Changes;
use super::flight::Landed;
use super::queue::Queue;
use super::stored::{Place, Spot, Stored};

/// How many answers are kept for one URL. A publisher who varies by more loses the oldest.
const ANSWERS_PER_URL_MAX: usize = 32;

/// The answers for some URLs.
#[derive(Debug, Default)]
pub(super) struct Shard {
    urls: HashMap<u64, Answers, BuildHasherDefault<AsItIs>>,
    queue: Queue,
    scratch: Vec<u8>,
    changes: Changes,
}

/// All that is known of the URLs with one hash, of which there is mostly one.
#[derive(Debug, Default)]
struct Answers {
    /// The newest last.
    kept: Vec<Arc<Stored>>,
    flights: Vec<Flying>,
}

/// A request whose answer others may wait for.
#[derive(Debug)]
pub(super) struct Flying {
    pub(super) id: u64,
    pub(super) place: Place,
    pub(super) landed: watch::Receiver<Option<Landed>>,
    pub(super) outdated: Arc<AtomicBool>,
}

/// Keys are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Shard {
    /// The newest answer that a request selects and may be given.
    pub(super) fn find(
        &mut self,
        place: Spot<'_>,
        asked: &Asked,
        request: &HeaderMap,
    ) -> Option<Arc<Stored>> {
        let answers = self.urls.get(&place.hash)?;
        let scratch = &mut self.scratch;
        let found = answers.kept.iter().rev().find(|stored| {
            place.is(&stored.place)
                && (!asked.authorization || stored.kept.shared)
                && stored.is_selected(request, scratch)
        })?;
        self.queue.used(found.id);
        Some(Arc::clone(found))
    }

    /// Who fetches an answer of this section.
    pub(super) fn flight(&self, place: Spot<'_>) -> Option<&Flying> {
        let answers = self.urls.get(&place.hash)?;
        answers
            .flights
            .iter()
            .find(|flight| place.is(&flight.place))
    }

    /// Somebody begins to fetch an answer.
    pub(super) fn begin(&mut self, flight: Flying) {
        let answers = self.urls.entry(flight.place.hash).or_default();
        answers.flights.push(flight);
    }

    /// Whoever fetched an answer is done.
    pub(super) fn end(&mut self, hash: u64, flight: u64) {
        if let Some(answers) = self.urls.get_mut(&hash) {
            answers.flights.retain(|flying| flying.id != flight);
            self.forget_if_empty(hash);
        }
    }

    /// Keeps an answer, in the place of one that the same requests select. Gives the weights of
    /// what came and of what went.
    pub(super) fn insert(&mut self, stored: &Arc<Stored>) -> (u64, u64) {
        let hash = stored.place.hash;
        let came = stored.weight();
        let answers = self.urls.entry(hash).or_default();
        let same = |other: &Arc<Stored>| {
            other.place == stored.place
                && other.vary == stored.vary
                && other.selection == stored.selection
        };
        let place = answers.kept.iter().position(same);
        let oldest = || (answers.kept.len() >= ANSWERS_PER_URL_MAX).then_some(0);
        let replaced = place
            .or_else(oldest)
            .map(|place| answers.kept.remove(place));
        answers.kept.push(Arc::clone(stored));
        let Some(replaced) = replaced else {
            self.queue.insert(stored.id, hash, came);
            return (came, 0);
        };
        let before = self.queue.replace(replaced.id, stored.id, hash, came);
        (came, before)
    }

    /// An answer's body has grown. False when it is not kept any more.
    pub(super) fn grow(&mut self, stored: &Stored, by: u64) -> bool {
        self.queue.grow(stored.id, by)
    }

    /// Gives up one answer. Gives what it weighed.
    pub(super) fn remove(&mut self, hash: u64, id: u64) -> u64 {
        if let Some(answers) = self.urls.get_mut(&hash) {
            answers.kept.retain(|stored| stored.id != id);
            self.forget_if_empty(hash);
        }
        self.queue.remove(id).unwrap_or(0)
    }

    /// How often answers for a URL were given up because they may be outdated.
    pub(super) fn changes(&self, hash: u64) -> u64 {
        self.changes.of(hash)
    }

    /// Gives up all answers whose key is such, also those that are being fetched. Gives how many
    /// went, and what they weighed.
    pub(super) fn purge(&mut self, is_such: &dyn Fn(&[u8]) -> bool) -> (u64, u64) {
        self.changes.count_all();
        let (mut count, mut weight) = (0, 0);
        let queue = &mut self.queue;
        self.urls.retain(|_, answers| {
            for flight in &answers.flights {
                if is_such(&flight.place.key) {
                    flight.outdated.store(true, Ordering::Relaxed);
                }
            }
            answers.kept.retain(|stored| {
                let goes = is_such(&stored.place.key);
                if goes {
                    count += 1;
                    weight += queue.remove(stored.id).unwrap_or(0);
                }
                !goes
            });
            !answers.kept.is_empty() || !answers.flights.is_empty()
        });
        (count, weight)
    }

    /// Gives up all answers for a URL, also those that are being fetched. Gives what they weighed.
    pub(super) fn invalidate(&mut self, hash: u64) -> u64 {
        self.changes.count(hash);
        let Some(answers) = self.urls.get_mut(&hash) else {
            return 0;
        };
        for flight in &answers.flights {
            flight.outdated.store(true, Ordering::Relaxed);
        }
        let gone = std::mem::take(&mut answers.kept);
        self.forget_if_empty(hash);
        gone.iter()
            .filter_map(|stored| self.queue.remove(stored.id))
            .sum()
    }

    /// Whether anything is kept for a URL.
    pub(super) fn holds(&self, hash: u64) -> bool {
        self.urls
            .get(&hash)
            .is_some_and(|answers| !answers.kept.is_empty())
    }

    /// Gives up the answer that is least worth its room. Gives what it weighed; nothing where there
    /// is none.
    pub(super) fn evict(&mut self) -> Option<u64> {
        let (id, hash, weight) = self.queue.evict()?;
        self.remove(hash, id);
        Some(weight)
    }

    /// How many answers there are.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    fn forget_if_empty(&mut self, hash: u64) {
        if self
            .urls
            .get(&hash)
            .is_some_and(|answers| answers.kept.is_empty() && answers.flights.is_empty())
        {
            self.urls.remove(&hash);
        }
    }
}
