//! What was asked for on this connection and not answered yet. It belongs to the connection, not
//! to a fetch: an answer may come after its fetch was given up, and is then nothing wrong.

use std::collections::BTreeSet;

use domain::tree::Hash;

use crate::Moment;
use crate::limits::WANTS_IN_FLIGHT_MAX;

/// Open questions, at most [`WANTS_IN_FLIGHT_MAX`].
#[derive(Debug, Default)]
pub(super) struct Asked {
    open: BTreeSet<Hash>,
    progress: Moment,
}

impl Asked {
    /// How many more may be asked.
    pub(super) fn room(&self) -> usize {
        WANTS_IN_FLIGHT_MAX.saturating_sub(self.open.len())
    }

    pub(super) fn contains(&self, hash: &Hash) -> bool {
        self.open.contains(hash)
    }

    pub(super) fn ask(&mut self, now: Moment, hashes: &[Hash]) {
        if self.open.is_empty() {
            self.progress = now;
        }
        self.open.extend(hashes);
    }

    /// Whether it was asked for.
    pub(super) fn answer(&mut self, now: Moment, hash: &Hash) -> bool {
        self.progress = now;
        self.open.remove(hash)
    }

    pub(super) fn forget(&mut self, hashes: &[Hash]) {
        for hash in hashes {
            self.open.remove(hash);
        }
    }

    /// Since when there has been no answer, if one is due.
    pub(super) fn waiting_since(&self) -> Option<Moment> {
        (!self.open.is_empty()).then_some(self.progress)
    }
}
