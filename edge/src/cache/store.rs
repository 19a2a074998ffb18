//! The answers of all routes and threads, in a bounded piece of memory.
//!
//! One lock for each of `SHARDS` parts, held for a look-up or a change of a few pointers and
//! never while anybody waits; bodies are read without it. Room is made wherever the next part in
//! turn has something to give up, so that the bound holds for all parts together and one large
//! answer does not empty the part that it happens to be in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use http::header::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::asked::{Asked, Rules};
use super::flight::{Landed, Lead};
use super::freshness::Standing;
use super::key;
use super::marks::Marks;
use super::shard::{Flying, Shard};
use super::stored::{Spot, Stored};
use crate::settings::CacheSettings;

use domain::model::Mode;

/// How many parts the cache has: many times as many as threads, so that two seldom meet.
const SHARDS: usize = 64;

/// The answers that an edge keeps.
#[derive(Debug)]
pub struct Cache {
    shards: Box<[Mutex<Shard>]>,
    /// URLs whose answers are not kept.
    pub marks: Marks,
    secret: [u8; 16],
    settings: CacheSettings,
    /// In bytes. What came and what went are counted outside of the locks, so it may be below
    /// zero for a moment.
    used: AtomicI64,
    evictions: AtomicU64,
    invalidations: AtomicU64,
    turn: AtomicUsize,
    next: AtomicU64,
}

/// A request that looks for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Where its answer would be.
    pub spot: Spot<'a>,
    /// What it says.
    pub asked: &'a Asked,
    /// Its fields.
    pub request: &'a HeaderMap,
    /// The rules of its route.
    pub rules: &'a Rules,
    /// The time.
    pub now_ms: u64,
}

/// Whether a request may wait for another, and others for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// It may wait, or lead.
    Wait,
    /// It has waited; now it may lead, if nobody does.
    Lead,
    /// It goes alone.
    Alone,
}

/// What a request is to do.
#[derive(Debug)]
pub enum Step {
    /// Be answered by this.
    Serve(Arc<Stored>, Standing),
    /// Be answered by this, which is stale, and fetch a new one for the others.
    ServeAndRefresh(Arc<Stored>, Standing, Lead),
    /// Ask the origin, perhaps whether this still holds, perhaps with others waiting.
    Ask(Option<(Arc<Stored>, Standing)>, Option<Lead>),
    /// Wait for another's answer.
    Wait(watch::Receiver<Option<Landed>>),
}

/// How full the cache is, and what happened in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Answers kept.
    pub entries: u64,
    /// What they weigh, in bytes.
    pub bytes: u64,
    /// The most that they may weigh.
    pub bytes_max: u64,
    /// Answers given up for want of room.
    pub evictions: u64,
    /// URLs given up because they were changed, and answers because they were purged.
    pub invalidations: u64,
}

impl Cache {
    /// An empty cache. The secret keeps clients from choosing URLs that meet in one place.
    #[must_use]
    pub fn new(settings: CacheSettings, secret: [u8; 16]) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            marks: Marks::default(),
            secret,
            settings,
            used: AtomicI64::new(0),
            evictions: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            next: AtomicU64::new(0),
        }
    }

    /// Whether it keeps anything at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.settings.memory_bytes > 0
    }

    /// The largest body that is kept.
    #[must_use]
    pub fn body_bytes_max(&self) -> u64 {
        self.settings.entry_bytes_max
    }

    /// A key's hash.
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u64 {
        key::hash(&self.secret, key)
    }

    /// A number that nothing else here has.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// What a request is to do.
    #[must_use]
    pub fn ask(self: &Arc<Self>, question: &Question<'_>, company: Company) -> Step {
        let Question {
            spot, asked, rules, ..
        } = *question;
        let mut shard = self.shard(spot.hash).lock();
        let found = shard.find(spot, asked, question.request).map(|stored| {
            let standing = stored.kept.standing(asked, rules, question.now_ms);
            (stored, standing)
        });
        let flight = shard.flight(spot).map(|flight| flight.landed.clone());
        match (found, flight) {
            (Some((stored, standing)), _) if standing.usable => Step::Serve(stored, standing),
            (Some((stored, standing)), flight) if standing.while_revalidating => {
                if flight.is_some() || asked.head {
                    return Step::Serve(stored, standing);
                }
                let lead = self.lead(&mut shard, spot);
                Step::ServeAndRefresh(stored, standing, lead)
            }
            (found, flight) if is_shared(question, found.as_ref(), company) => match flight {
                Some(landed) if company == Company::Wait => Step::Wait(landed),
                Some(_) => Step::Ask(found, None),
                None => Step::Ask(found, Some(self.lead(&mut shard, spot))),
            },
            (found, _) => Step::Ask(found, None),
        }
    }

    fn lead(self: &Arc<Self>, shard: &mut Shard, spot: Spot<'_>) -> Lead {
        let (sender, landed) = watch::channel(None);
        let (id, outdated) = (self.number(), Arc::new(AtomicBool::new(false)));
        let place = spot.to_place();
        shard.begin(Flying {
            id,
            place: place.clone(),
            landed,
            outdated: Arc::clone(&outdated),
        });
        Lead {
            cache: Arc::clone(self),
            id,
            place,
            landed: sender,
            outdated,
        }
    }

    pub(super) fn end(&self, hash: u64, flight: u64) {
        self.shard(hash).lock().end(hash, flight);
    }

    /// What [`Self::insert`] wants to know of the time before an answer was asked for.
    #[must_use]
    pub fn changes(&self, hash: u64) -> u64 {
        self.shard(hash).lock().changes(hash)
    }

    /// Keeps an answer, in the place of one that the same requests select. Not if anything was given
    /// up since `changes`, because it may be of before that; false then.
    pub fn insert(&self, stored: &Arc<Stored>, changes: u64) -> bool {
        let mut shard = self.shard(stored.place.hash).lock();
        if shard.changes(stored.place.hash) != changes {
            return false;
        }
        let (came, went) = shard.insert(stored);
        drop(shard);
        self.count(came, went);
        self.marks.clear(stored.place.hash);
        self.make_room();
        true
    }

    /// The body of an answer has grown by so much. False when the answer is not kept any more.
    #[must_use]
    pub fn grow(&self, stored: &Stored, by: u64) -> bool {
        if !self.shard(stored.place.hash).lock().grow(stored, by) {
            return false;
        }
        self.count(by, 0);
        self.make_room();
        true
    }

    /// Gives up an answer.
    pub fn remove(&self, stored: &Stored) {
        let hash = stored.place.hash;
        let went = self.shard(hash).lock().remove(hash, stored.id);
        self.count(0, went);
    }

    /// Gives up all answers for a URL, also those that are on their way.
    pub fn invalidate(&self, hash: u64) {
        let went = self.shard(hash).lock().invalidate(hash);
        self.count(0, went);
        self.invalidations.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up all answers whose key is such, also those that are on their way.
    pub fn purge(&self, is_such: &dyn Fn(&[u8]) -> bool) {
        for shard in &self.shards {
            let (count, went) = shard.lock().purge(is_such);
            self.count(0, went);
            self.invalidations.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// A URL's answer was not kept: nobody waits for its next ones. While something is kept for it,
    /// that must be found, so it is not marked.
    pub fn mark(&self, hash: u64, now_ms: u64) {
        if !self.shard(hash).lock().holds(hash) {
            self.marks.mark(hash, now_ms);
        }
    }

    /// How full it is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let entries: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        Usage {
            entries: entries as u64,
            bytes: self.used(),
            bytes_max: self.settings.memory_bytes,
            evictions: self.evictions.load(Ordering::Relaxed),
            invalidations: self.invalidations.load(Ordering::Relaxed),
        }
    }

    /// Gives up what is least worth its room until the rest fits.
    fn make_room(&self) {
        let mut empty = 0;
        while self.used() > self.settings.memory_bytes && empty < SHARDS {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let evicted = self.shards[turn].lock().evict();
            match evicted {
                Some(weight) => {
                    self.count(0, weight);
                    self.evictions.fetch_add(1, Ordering::Relaxed);
                    empty = 0;
                }
                None => empty += 1,
            }
        }
    }

    fn used(&self) -> u64 {
        u64::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn count(&self, came: u64, went: u64) {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.used
            .fetch_add(signed(came).saturating_sub(signed(went)), Ordering::Relaxed);
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The upper bits: the lower ones choose places in the shard's own table.
        let place = usize::try_from(hash >> 48).unwrap_or_default();
        &self.shards[place % SHARDS]
    }
}

/// Whether one answer may serve several who ask at the same time. Where the origin goes first each
/// of them asks; with credentials the answer is mostly one's own; an answer that must be confirmed
/// each time would make them ask one after the other.
fn is_shared(
    question: &Question<'_>,
    found: Option<&(Arc<Stored>, Standing)>,
    company: Company,
) -> bool {
    let asked = question.asked;
    company != Company::Alone
        && question.rules.mode != Mode::OriginFirst
        && !asked.head
        && !asked.authorization
        && !asked.directives.no_store
        && match found {
            Some((stored, _)) => {
                // What is fresh and yet not used is not what this one wants, but what others do.
                stored.kept.was_fresh() && stored.kept.fresh_for_ms(question.now_ms) <= 0
            }
            None => asked.conditions.are_none(),
        }
}

#[cfg(test)]
mod tests;
