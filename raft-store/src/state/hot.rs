//! Rows that applying reads again and again: a route and its draft, the uses of an upstream, the
//! log's clock. They are kept as they were last read or written, so that most entries are judged
//! without a look into the database.
//!
//! Only applying uses them, one batch after the other, and it is the only one that writes rows; so
//! they never differ from the database. Whoever replaces the state forgets them.

use std::collections::BTreeMap;

use domain::rows::{Row, View};
use parking_lot::Mutex;

/// When the kept rows, keys included, take more than this, all are forgotten: simpler than finding
/// out which to keep, and they are read again at the price of one look each.
const BYTES_MAX: usize = 8 << 20;

/// What a map needs for a row besides its bytes.
const ROW_OVERHEAD: usize = 64;

/// The kept rows.
#[derive(Debug, Default)]
pub(super) struct HotRows {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl HotRows {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A row was written; `None` removes it. What is not kept stays so.
    pub(super) fn written(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(kept) = self.rows.get_mut(key) else {
            return;
        };
        self.bytes -= size(key, kept);
        match value {
            Some(value) => {
                self.bytes += size(key, value);
                kept.clear();
                kept.extend_from_slice(value);
            }
            None => {
                self.rows.remove(key);
            }
        }
    }

    fn keep(&mut self, key: &[u8], value: &[u8]) {
        if self.bytes > BYTES_MAX {
            self.clear();
        }
        self.bytes += size(key, value);
        self.rows.insert(key.to_vec(), value.to_vec());
    }
}

fn size(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ROW_OVERHEAD
}

/// A view of the database that looks among the kept rows first.
#[derive(Debug)]
pub(super) struct HotView<'a, V> {
    hot: &'a Mutex<HotRows>,
    view: V,
}

impl<'a, V: View> HotView<'a, V> {
    pub(super) fn new(hot: &'a Mutex<HotRows>, view: V) -> Self {
        Self { hot, view }
    }

    pub(super) fn into_inner(self) -> V {
        self.view
    }
}

impl<V: View> View for HotView<'_, V> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(kept) = self.hot.lock().rows.get(key) {
            return Some(kept.clone());
        }
        let found = self.view.get(key)?;
        self.hot.lock().keep(key, &found);
        Some(found)
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.view.scan(from, until, limit)
    }

    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.view.scan_back(from, until, limit)
    }

    fn broken(&self, what: &str) {
        self.view.broken(what);
    }
}

#[cfg(test)]
mod tests {
    use domain::rows::{MemoryRows, Rows};

    use super::*;

    fn get(hot: &Mutex<HotRows>, rows: &MemoryRows, key: &[u8]) -> Option<Vec<u8>> {
        HotView::new(hot, rows).get(key)
    }

    #[test]
    fn what_is_kept_follows_what_is_written() {
        let hot = Mutex::new(HotRows::default());
        let mut rows = MemoryRows::default();
        assert_eq!(get(&hot, &rows, b"a"), None);
        rows.put(b"a".to_vec(), b"1".to_vec());
        hot.lock().written(b"a", Some(b"1"));
        assert_eq!(get(&hot, &rows, b"a"), Some(b"1".to_vec()));
        // Read from what is kept: the rows below are gone.
        let none = MemoryRows::default();
        assert_eq!(get(&hot, &none, b"a"), Some(b"1".to_vec()));
        hot.lock().written(b"a", Some(b"two"));
        assert_eq!(get(&hot, &none, b"a"), Some(b"two".to_vec()));
        assert_eq!(hot.lock().bytes, size(b"a", b"two"));
        hot.lock().written(b"a", None);
        assert_eq!(get(&hot, &none, b"a"), None);
        assert_eq!(hot.lock().bytes, 0);
    }

    #[test]
    fn the_kept_rows_stay_within_their_bound() {
        let hot = Mutex::new(HotRows::default());
        let mut rows = MemoryRows::default();
        let large = vec![7; BYTES_MAX / 4];
        for number in 0..16_u8 {
            rows.put(vec![number], large.clone());
            assert_eq!(get(&hot, &rows, &[number]).as_ref(), Some(&large));
            let bound = BYTES_MAX + size(&[number], &large);
            assert!(hot.lock().bytes <= bound);
        }
        hot.lock().clear();
        assert_eq!(hot.lock().bytes, 0);
    }
}
