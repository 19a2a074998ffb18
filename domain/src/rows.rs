//! The narrow view through which the core reads and writes its state: ordered rows of bytes.
//!
//! `raft-store` serves these traits from RocksDB; tests and the simulator's oracle serve them
//! from a map. The core sees no storage error: an adapter that fails keeps its first fault,
//! answers *absent* from then on, and its owner must look at the fault before it commits or
//! shows anything that was read.

use std::collections::BTreeMap;
use std::ops::Bound;

/// One row.
pub type Row = (Vec<u8>, Vec<u8>);

/// A consistent, ordered view of rows.
pub trait View {
    /// The value at `key`.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Up to `limit` rows with `from <= key < until`, in ascending key order.
    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row>;

    /// Up to `limit` rows with `from <= key < until`, in descending key order.
    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row>;

    /// Told when the core finds what cannot be: a record that does not decode, a chunk that is
    /// missing. An adapter keeps it like a storage fault: nothing read since may be committed or
    /// shown. It never repairs.
    ///
    /// # Panics
    /// As provided, always: rows without an owner to ask halt on the spot.
    fn broken(&self, what: &str) {
        panic!("broken invariant: {what}");
    }
}

/// Rows that can also be written. A write is seen by every later read through the same value.
pub trait Rows: View {
    /// Sets `key` to `value`.
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>);

    /// Removes `key`; removing what is absent does nothing.
    fn delete(&mut self, key: Vec<u8>);
}

impl<V: View + ?Sized> View for &V {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        (**self).get(key)
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        (**self).scan(from, until, limit)
    }

    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        (**self).scan_back(from, until, limit)
    }

    fn broken(&self, what: &str) {
        (**self).broken(what);
    }
}

/// Rows in a map: for tests, for the oracle, and as the pending part of an [`Overlay`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryRows(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl View for MemoryRows {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        if from >= until {
            return Vec::new();
        }
        let bounds = (Bound::Included(from), Bound::Excluded(until));
        self.0
            .range::<[u8], _>(bounds)
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        if from >= until {
            return Vec::new();
        }
        let bounds = (Bound::Included(from), Bound::Excluded(until));
        self.0
            .range::<[u8], _>(bounds)
            .rev()
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

impl Rows for MemoryRows {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.0.remove(&key);
    }
}

/// Pending writes over a base view: what one apply batch has done so far. `None` marks a
/// removed row.
#[derive(Debug)]
pub struct Overlay<V> {
    base: V,
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<V: View> Overlay<V> {
    /// An overlay with nothing pending.
    pub fn new(base: V) -> Self {
        Self {
            base,
            pending: BTreeMap::new(),
        }
    }

    /// The base and what is pending, in key order; `None` marks a removal.
    pub fn into_parts(self) -> (V, BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        (self.base, self.pending)
    }

    fn merge(&self, from: &[u8], until: &[u8], limit: usize, back: bool) -> Vec<Row> {
        if from >= until || limit == 0 {
            return Vec::new();
        }
        let bounds = (Bound::Included(from), Bound::Excluded(until));
        let pending: Vec<_> = self.pending.range::<[u8], _>(bounds).collect();
        // Each pending row hides at most one row of the base, so this many are enough.
        let wanted = limit.saturating_add(pending.len());
        let base = if back {
            self.base.scan_back(from, until, wanted)
        } else {
            self.base.scan(from, until, wanted)
        };
        if pending.is_empty() {
            return base;
        }
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = base.into_iter().collect();
        for (key, value) in pending {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        if back {
            merged.into_iter().rev().take(limit).collect()
        } else {
            merged.into_iter().take(limit).collect()
        }
    }
}

impl<V: View> View for Overlay<V> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.pending.get(key) {
            Some(pending) => pending.clone(),
            None => self.base.get(key),
        }
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.merge(from, until, limit, false)
    }

    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.merge(from, until, limit, true)
    }

    fn broken(&self, what: &str) {
        self.base.broken(what);
    }
}

impl<V: View> Rows for Overlay<V> {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.pending.insert(key, Some(value));
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.pending.insert(key, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(keys: &[&str]) -> MemoryRows {
        MemoryRows(
            keys.iter()
                .map(|key| (key.as_bytes().to_vec(), b"base".to_vec()))
                .collect(),
        )
    }

    fn keys(rows: Vec<Row>) -> Vec<String> {
        rows.into_iter()
            .map(|(key, _)| String::from_utf8_lossy(&key).into_owned())
            .collect()
    }

    #[test]
    fn an_overlay_hides_removed_rows_and_shows_added_ones_in_order() {
        let base = rows(&["a", "b", "c", "d"]);
        let mut overlay = Overlay::new(&base);
        overlay.delete(b"a".to_vec());
        overlay.delete(b"b".to_vec());
        overlay.put(b"bb".to_vec(), b"new".to_vec());
        assert_eq!(keys(overlay.scan(b"a", b"z", 2)), ["bb", "c"]);
        assert_eq!(keys(overlay.scan_back(b"a", b"d", 2)), ["c", "bb"]);
        assert_eq!(overlay.get(b"a"), None);
        assert_eq!(overlay.get(b"d"), Some(b"base".to_vec()));
    }
}
