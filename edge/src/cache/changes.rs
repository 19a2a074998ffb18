//! How often what is kept was given up because it may be outdated, counted so that an answer that
//! was asked for before that is not kept after it. Many URLs share a counter, so that nothing
//! has to be remembered of each; a URL that is changed often keeps only the few answers from being
//! kept that are on their way to its companions.

/// Counters of a shard. With 64 shards, one in 65 536 URLs shares a counter with another, for
/// 512 KiB in all.
const COUNTERS: usize = 1024;

/// Counters of changes, by hash of the URL.
#[derive(Debug)]
pub(super) struct Changes {
    of_some: Box<[u64]>,
    of_all: u64,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            of_some: vec![0; COUNTERS].into(),
            of_all: 0,
        }
    }
}

impl Changes {
    /// A number that is another after each change that may be about this URL.
    pub(super) fn of(&self, hash: u64) -> u64 {
        self.of_all + self.of_some[place(hash)]
    }

    /// What is kept for a URL was given up.
    pub(super) fn count(&mut self, hash: u64) {
        self.of_some[place(hash)] += 1;
    }

    /// What is kept for any URL may have been given up.
    pub(super) fn count_all(&mut self) {
        self.of_all += 1;
    }
}

fn place(hash: u64) -> usize {
    // The upper bits chose the shard.
    usize::try_from(hash % COUNTERS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_by_its_url_and_one_of_all_by_each() {
        let mut changes = Changes::default();
        let before = [changes.of(1), changes.of(2)];
        changes.count(1);
        assert_ne!(changes.of(1), before[0]);
        assert_eq!(changes.of(2), before[1]);
        let before = [changes.of(1), changes.of(2)];
        changes.count_all();
        assert_ne!(changes.of(1), before[0]);
        assert_ne!(changes.of(2), before[1]);
    }
}
