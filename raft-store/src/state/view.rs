//! The rows as the domain reads them.

use domain::rows::{Row, View};
use parking_lot::Mutex;

use super::keys;
use crate::engine::{DatabaseView, Direction};
use crate::fault::StorageFault;

/// A consistent view of the domain's rows. The domain knows no storage faults: the first one is
/// kept, everything is absent from then on, and whoever owns the view asks [`StateView::fault`]
/// before using anything that was read.
pub(super) struct StateView<'a> {
    rows: Box<dyn DatabaseView + 'a>,
    fault: Mutex<Option<StorageFault>>,
}

impl<'a> StateView<'a> {
    pub(super) fn new(rows: Box<dyn DatabaseView + 'a>) -> Self {
        Self {
            rows,
            fault: Mutex::new(None),
        }
    }

    /// The first fault, if there was one.
    pub(super) fn fault(&self) -> Result<(), StorageFault> {
        match &*self.fault.lock() {
            None => Ok(()),
            Some(fault) => Err(fault.clone()),
        }
    }

    /// A row beside the domain's.
    pub(super) fn beside(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        self.rows.get(key)
    }

    fn keep<T: Default>(&self, read: impl FnOnce() -> Result<T, StorageFault>) -> T {
        let mut first = self.fault.lock();
        if first.is_some() {
            return T::default();
        }
        read().unwrap_or_else(|fault| {
            *first = Some(fault);
            T::default()
        })
    }

    fn walk(&self, from: &[u8], until: &[u8], direction: Direction, limit: usize) -> Vec<Row> {
        let rows = self.keep(|| {
            self.rows
                .scan(&keys::row(from), &keys::row(until), direction, limit)
        });
        rows.into_iter()
            .map(|(key, value)| (keys::domain_key(key), value))
            .collect()
    }
}

impl View for StateView<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.keep(|| self.rows.get(&keys::row(key)))
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.walk(from, until, Direction::Ascending, limit)
    }

    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.walk(from, until, Direction::Descending, limit)
    }

    fn broken(&self, what: &str) {
        self.keep(|| {
            Err(StorageFault::corrupt(
                "understand what was read from",
                "state",
                what,
            ))
        })
    }
}
