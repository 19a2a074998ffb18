//! Rows that follow from records, derived anew, and their comparison with those that are there.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rows::{MemoryRows, View};
use crate::table::{Key, Table};

/// Derived rows.
#[derive(Default)]
pub(super) struct Expected {
    rows: MemoryRows,
    tables: BTreeSet<(u8, &'static str)>,
}

impl Expected {
    /// The table has exactly the rows that are added to it.
    pub(super) fn cover<K: Key, V: Serialize + DeserializeOwned>(&mut self, table: &Table<K, V>) {
        self.tables.insert((table.tag(), table.name()));
    }

    /// Adds a row; one with the same key must not have been added before.
    pub(super) fn add<K: Key, V: Serialize + DeserializeOwned>(
        &mut self,
        table: &Table<K, V>,
        key: K::Ref<'_>,
        value: &V,
    ) -> Result<(), String> {
        self.cover(table);
        if table.has(&self.rows, key) {
            return Err(format!("{}: two objects claim one row", table.name()));
        }
        table.put(&mut self.rows, key, value);
        Ok(())
    }

    /// Compares with the rows that are there.
    pub(super) fn compare(&self, rows: &MemoryRows) -> Result<(), String> {
        for (tag, name) in &self.tables {
            let (from, until) = ([*tag], [tag + 1]);
            let there: BTreeSet<_> = rows.scan(&from, &until, usize::MAX).into_iter().collect();
            let expected: BTreeSet<_> = self
                .rows
                .scan(&from, &until, usize::MAX)
                .into_iter()
                .collect();
            if let Some((key, value)) = there.difference(&expected).next() {
                return Err(format!(
                    "{name}: the row {} = {} should not be",
                    text(key),
                    text(value)
                ));
            }
            if let Some((key, value)) = expected.difference(&there).next() {
                return Err(format!(
                    "{name}: the row {} = {} is missing",
                    text(key),
                    text(value)
                ));
            }
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
