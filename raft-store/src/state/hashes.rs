//! Hashes of the whole state as it was at a blank entry of the log.
//!
//! Blank entries are where replicas compare themselves: every release knows them, they change nothing, and each stands at
//! one position for all. When one was applied, a view is taken before anything else is, and hashed
//! in the background, in slices and no faster than is allowed; applying waits for the view alone. A later blank
//! entry ends what is under way, and so does another state that is installed in the place of this one: what was found of
//! the old one says nothing of the new one.
//!
//! What is hashed is what the database answers, row by row: what was written to it wrongly as well as what has changed under it.
//! Who compares what with whom is `node`'s matter.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::machine::StateHasher;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::engine::DatabaseView;
use crate::fault::StorageFault;
use crate::state::keys;
use crate::types::LogId;

/// How many hashes are remembered: whoever is slow asks for one that is some rounds old.
const REMEMBERED: usize = 8;

/// After how many bytes a pause is made, and looked whether to go on.
const SLICE_BYTES: u64 = 256 << 10;

/// The hash of the state at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHash {
    /// The blank entry that was the last one applied.
    pub position: LogId,
    /// The hash of all rows, [`domain::machine::state_hash`].
    pub sha256: [u8; 32],
    /// How many rows.
    pub rows: u64,
    /// How many bytes their keys and values are.
    pub bytes: u64,
}

/// What is known of the state at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This.
    Taken(StateHash),
    /// It is being hashed.
    Taking,
    /// Nothing: it was not reached, was passed over, or is forgotten.
    Unknown,
}

/// The hashes of a node's state. Clones are the same.
#[derive(Clone, Debug)]
pub struct StateHashes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    course: Mutex<Course>,
    /// Notified when what is under way is to end.
    ended: Condvar,
    latest: watch::Sender<Option<StateHash>>,
}

#[derive(Debug, Default)]
struct Course {
    /// How fast rows may be hashed; nothing is hashed without it.
    bytes_per_s_max: Option<u64>,
    /// Counts what was begun or ended from outside; whoever is of another turn is not wanted any more.
    turn: u64,
    taking: Option<LogId>,
    taken: VecDeque<StateHash>,
    bytes: u64,
}

impl Default for StateHashes {
    fn default() -> Self {
        Self(Arc::new(Inner {
            course: Mutex::default(),
            ended: Condvar::new(),
            latest: watch::Sender::new(None),
        }))
    }
}

impl StateHashes {
    /// Has hashes be taken from now on, reading no more than so many bytes of rows in a second.
    pub fn enable(&self, bytes_per_s_max: u64) {
        self.0.course.lock().bytes_per_s_max = Some(bytes_per_s_max.max(1));
    }

    /// What is known of the state at a position.
    #[must_use]
    pub fn at(&self, position: LogId) -> Progress {
        let course = self.0.course.lock();
        if course.taking == Some(position) {
            return Progress::Taking;
        }
        let mut taken = course.taken.iter();
        let found = taken.find(|taken| taken.position == position);
        found.map_or(Progress::Unknown, |taken| Progress::Taken(*taken))
    }

    /// Whether one is being taken.
    #[must_use]
    pub fn is_taking(&self) -> bool {
        self.0.course.lock().taking.is_some()
    }

    /// The newest hash, as there is another one; `None` while none is of the state that is in use.
    #[must_use]
    pub fn latest(&self) -> watch::Receiver<Option<StateHash>> {
        self.0.latest.subscribe()
    }

    /// How many bytes were hashed since the process began.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.course.lock().bytes
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.0.course.lock().bytes_per_s_max.is_some()
    }

    /// Begins with a position, and ends whatever is under way. Answers whose turn it is, or nothing where none are taken.
    pub(super) fn begin(&self, position: LogId) -> Option<u64> {
        let mut course = self.0.course.lock();
        course.bytes_per_s_max?;
        course.turn += 1;
        course.taking = Some(position);
        self.0.ended.notify_all();
        Some(course.turn)
    }

    /// Ends what is under way.
    pub(crate) fn end(&self) {
        let mut course = self.0.course.lock();
        course.turn += 1;
        course.taking = None;
        self.0.ended.notify_all();
    }

    /// The state is another one from now on.
    pub(super) fn forget(&self) {
        self.end();
        self.0.course.lock().taken.clear();
        self.0.latest.send_replace(None);
    }

    /// Hashes what `view` shows, unless its turn ends before.
    pub(super) fn take(
        &self,
        view: &dyn DatabaseView,
        position: LogId,
        turn: u64,
        pace: Pace,
    ) -> Result<(), StorageFault> {
        let (from, until) = keys::ROWS;
        let mut hasher = StateHasher::default();
        let (mut rows, mut bytes, mut slice) = (0, 0, 0);
        let mut is_whole = true;
        view.sweep(&from, &until, &mut |key, value| {
            let key = keys::domain_part(key);
            hasher.row(key, value);
            rows += 1;
            slice += (key.len() + value.len()) as u64;
            if slice >= SLICE_BYTES {
                bytes += slice;
                is_whole = self.goes_on(turn, slice, pace);
                slice = 0;
            }
            if is_whole {
                std::ops::ControlFlow::Continue(())
            } else {
                std::ops::ControlFlow::Break(())
            }
        })?;
        if is_whole {
            let hash = StateHash {
                position,
                sha256: hasher.finish(),
                rows,
                bytes: bytes + slice,
            };
            self.taken(turn, slice, hash);
        }
        Ok(())
    }

    /// Waits for as long as so many bytes may take, and answers whether the turn lasts.
    fn goes_on(&self, turn: u64, bytes: u64, pace: Pace) -> bool {
        let mut course = self.0.course.lock();
        course.bytes += bytes;
        let allowed = course.bytes_per_s_max.filter(|_| pace == Pace::Bounded);
        if let Some(allowed) = allowed.filter(|_| course.turn == turn) {
            let wait = Duration::from_secs(bytes) / u32::try_from(allowed).unwrap_or(u32::MAX);
            // Whoever is woken without a reason waits for less than it might, which is harmless.
            self.0.ended.wait_for(&mut course, wait);
        }
        course.turn == turn
    }

    fn taken(&self, turn: u64, rest: u64, hash: StateHash) {
        let mut course = self.0.course.lock();
        course.bytes += rest;
        if course.turn != turn {
            return;
        }
        course.taking = None;
        while course.taken.len() >= REMEMBERED {
            course.taken.pop_front();
        }
        course.taken.push_back(hash);
        self.0.latest.send_replace(Some(hash));
    }
}

/// Whether pauses are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As the settings say.
    Bounded,
    /// None: on a thread that must not wait.
    Unbounded,
}

#[cfg(test)]
mod tests {
    use domain::machine::state_hash;
    use domain::rows::MemoryRows;

    use super::*;
    use crate::engine::{Direction, Visitor};
    use crate::types::LeaderId;

    /// So many rows of 100 kB, as they are stored.
    struct Large(u8);

    impl DatabaseView for Large {
        fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
            Ok(None)
        }

        fn visit(
            &self,
            _: &[u8],
            _: &[u8],
            _: Direction,
            visitor: Visitor<'_>,
        ) -> Result<(), StorageFault> {
            for number in 0..self.0 {
                if visitor(&keys::row(&[number]), &value(number)).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    fn value(number: u8) -> Vec<u8> {
        vec![number; 100_000]
    }

    fn position(index: u64) -> LogId {
        let leader = LeaderId {
            term: 1,
            node_id: 1,
        };
        LogId::new(leader, index)
    }

    #[test]
    fn the_hash_is_the_one_of_backups_and_counts_what_it_is_of() {
        let hashes = StateHashes::default();
        assert_eq!(hashes.begin(position(1)), None, "nobody asked for any");
        hashes.enable(1 << 30);
        let turn = hashes.begin(position(1)).unwrap();
        assert_eq!(hashes.at(position(1)), Progress::Taking);
        hashes
            .take(&Large(7), position(1), turn, Pace::Bounded)
            .unwrap();
        let rows = MemoryRows((0..7).map(|number| (vec![number], value(number))).collect());
        let expected = StateHash {
            position: position(1),
            sha256: state_hash(&rows),
            rows: 7,
            bytes: 700_007,
        };
        assert_eq!(hashes.at(position(1)), Progress::Taken(expected));
        assert_eq!(hashes.at(position(2)), Progress::Unknown);
        assert_eq!(*hashes.latest().borrow(), Some(expected));
        assert_eq!(hashes.bytes(), 700_007);
        assert!(!hashes.is_taking());
    }

    #[test]
    fn what_waits_for_its_pace_ends_when_it_is_not_wanted_any_more() {
        let hashes = StateHashes::default();
        // Each slice would take days.
        hashes.enable(1);
        let turn = hashes.begin(position(1)).unwrap();
        let slow = std::thread::spawn({
            let hashes = hashes.clone();
            move || hashes.take(&Large(200), position(1), turn, Pace::Bounded)
        });
        while hashes.bytes() == 0 {
            std::thread::yield_now();
        }
        hashes.end();
        slow.join().unwrap().unwrap();
        assert_eq!(hashes.at(position(1)), Progress::Unknown);
        // One that comes later does not bring the old one back.
        let next = hashes.begin(position(2)).unwrap();
        hashes
            .take(&Large(1), position(1), turn, Pace::Unbounded)
            .unwrap();
        assert_eq!(hashes.at(position(2)), Progress::Taking);
        hashes
            .take(&Large(1), position(2), next, Pace::Unbounded)
            .unwrap();
        assert!(matches!(hashes.at(position(2)), Progress::Taken(_)));
        hashes.forget();
        assert_eq!(hashes.at(position(2)), Progress::Unknown);
        assert_eq!(*hashes.latest().borrow(), None);
    }

    #[test]
    fn the_newest_few_are_remembered() {
        let hashes = StateHashes::default();
        hashes.enable(1 << 30);
        for index in 0..20 {
            let turn = hashes.begin(position(index)).unwrap();
            hashes
                .take(&Large(0), position(index), turn, Pace::Unbounded)
                .unwrap();
        }
        let is_known = |index: &u64| hashes.at(position(*index)) != Progress::Unknown;
        let known: Vec<u64> = (0..20).filter(is_known).collect();
        assert_eq!(known, (12..20).collect::<Vec<_>>());
    }
}
