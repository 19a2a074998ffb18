//! Typed tables over ordered rows of bytes: how a key and a value of the model become bytes, and
//! back. Which tables there are is [`crate::schema`]'s matter.
//!
//! ```text
//! row key    tag (1 byte), then the key's parts in order
//!   text       its bytes, then 0x00 (no text of the model holds a NUL)
//!   identifier 14 bytes, a UUID 17; one that is not of our making as its text
//!   number     big-endian, 4 or 8 bytes
//!   flag, enum 1 byte
//!   hash       32 bytes
//! row value  format version (1 byte), then postcard; chunks are stored as they are
//! ```
//!
//! A table begins with format version 1. One whose records have changed since writes a later one and
//! reads the earlier ones as well.
//!
//! Parts are self-delimiting, so a key never is the beginning of another key of its table and
//! byte order is the order of the parts.

mod key;

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use key::{Key, Leads, Part};

use crate::rows::{Row, Rows, View};

/// The format version of values in a table that never had another.
const FIRST_VERSION: u8 = 1;

/// How many rows a walk over a range reads at a time: enough to spread the cost of a seek, few
/// enough that a page of the largest records stays below a few megabytes.
const WALK_PAGE: usize = 256;

/// Room for most records, so that writing one does not move it again and again as it grows.
const ENCODED_BYTES_USUAL: usize = 1024;

/// A range of row keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first key.
    pub from: Vec<u8>,
    /// The key after the last.
    pub until: Vec<u8>,
}

/// One kind of rows.
pub struct Table<K, V> {
    tag: u8,
    name: &'static str,
    /// The format version that is written.
    version: u8,
    /// Reads what stands behind an earlier version.
    earlier: Earlier<V>,
    types: PhantomData<fn() -> (K, V)>,
}

/// Reads the payload of a value of an earlier format version.
pub type Earlier<V> = fn(u8, &[u8]) -> Option<V>;

impl<K: Key, V: Serialize + DeserializeOwned> Table<K, V> {
    /// The table whose row keys begin with `tag`.
    #[must_use]
    pub const fn new(tag: u8, name: &'static str) -> Self {
        Self::versioned(tag, name, FIRST_VERSION, |_, _| None)
    }

    /// The same, with records whose format has changed.
    #[must_use]
    pub const fn versioned(tag: u8, name: &'static str, version: u8, earlier: Earlier<V>) -> Self {
        Self {
            tag,
            name,
            version,
            earlier,
            types: PhantomData,
        }
    }

    /// The first byte of each row key.
    #[must_use]
    pub const fn tag(&self) -> u8 {
        self.tag
    }

    /// What the table is called in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The row key.
    #[must_use]
    pub fn key(&self, key: K::Ref<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.push(self.tag);
        K::write(key, &mut out);
        out
    }

    /// The value at `key`.
    pub fn get(&self, view: &(impl View + ?Sized), key: K::Ref<'_>) -> Option<V> {
        let bytes = view.get(&self.key(key))?;
        self.decode(view, &bytes)
    }

    /// Whether there is a value at `key`.
    pub fn has(&self, view: &(impl View + ?Sized), key: K::Ref<'_>) -> bool {
        view.get(&self.key(key)).is_some()
    }

    /// Sets the value at `key`.
    pub fn put(&self, rows: &mut impl Rows, key: K::Ref<'_>, value: &V) {
        rows.put(self.key(key), self.encode(value));
    }

    /// Removes the value at `key`.
    pub fn delete(&self, rows: &mut impl Rows, key: K::Ref<'_>) {
        rows.delete(self.key(key));
    }

    /// All keys of the table.
    #[must_use]
    pub fn all(&self) -> Span {
        Span {
            from: vec![self.tag],
            until: vec![self.tag + 1],
        }
    }

    /// All keys that begin with `lead`.
    #[must_use]
    pub fn under(&self, lead: impl Leads<K>) -> Span {
        let mut from = Vec::with_capacity(96);
        from.push(self.tag);
        lead.write(&mut from);
        let until = successor(&from);
        Span { from, until }
    }

    /// Up to `limit` rows of a range, in ascending order.
    pub fn scan(&self, view: &(impl View + ?Sized), span: &Span, limit: usize) -> Vec<(K, V)> {
        let rows = view.scan(&span.from, &span.until, limit);
        rows.iter()
            .filter_map(|row| self.decode_row(view, row))
            .collect()
    }

    /// Up to `limit` rows of a range, in descending order.
    pub fn scan_back(&self, view: &(impl View + ?Sized), span: &Span, limit: usize) -> Vec<(K, V)> {
        let rows = view.scan_back(&span.from, &span.until, limit);
        rows.iter()
            .filter_map(|row| self.decode_row(view, row))
            .collect()
    }

    /// All rows of a range in ascending order, read in pages.
    pub fn walk<'a, W: View + ?Sized>(
        &'a self,
        view: &'a W,
        span: Span,
    ) -> impl Iterator<Item = (K, V)> + 'a {
        let mut span = Some(span);
        std::iter::from_fn(move || {
            let current = span.take()?;
            let rows = view.scan(&current.from, &current.until, WALK_PAGE);
            if rows.len() == WALK_PAGE
                && let Some((last, _)) = rows.last()
            {
                span = Some(Span {
                    from: after(last),
                    until: current.until,
                });
            }
            Some(rows)
        })
        .flatten()
        .filter_map(move |row| self.decode_row(view, &row))
    }

    fn decode_row(&self, view: &(impl View + ?Sized), (key, value): &Row) -> Option<(K, V)> {
        let Some(parts) = key.get(1..).and_then(K::read) else {
            view.broken(&format!("table {}: a key does not decode", self.name));
            return None;
        };
        Some((parts, self.decode(view, value)?))
    }

    /// A value's bytes: format version, then postcard.
    ///
    /// # Panics
    /// Never for the model's types, which have a postcard form whatever they hold.
    pub fn encode(&self, value: &V) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENCODED_BYTES_USUAL);
        bytes.push(self.version);
        postcard::to_extend(value, bytes).expect("every record of the model has a postcard form")
    }

    /// The value whose bytes these are, in this format or an earlier one, if they are that to the
    /// last byte.
    #[must_use]
    pub fn read(&self, bytes: &[u8]) -> Option<V> {
        let (&version, payload) = bytes.split_first()?;
        if version == self.version {
            return whole(payload);
        }
        (self.earlier)(version, payload)
    }

    fn decode(&self, view: &(impl View + ?Sized), bytes: &[u8]) -> Option<V> {
        let value = self.read(bytes);
        if value.is_none() {
            view.broken(&format!("table {}: a value does not decode", self.name));
        }
        value
    }
}

/// The value whose postcard form this is to the last byte.
pub(crate) fn whole<V: DeserializeOwned>(payload: &[u8]) -> Option<V> {
    let (value, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(value)
}

/// The smallest key greater than `key` in a table whose keys are no beginnings of one another.
#[must_use]
pub fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// The smallest byte string greater than everything that begins with `prefix`.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if let Some(last) = last.checked_add(1) {
            next.push(last);
            break;
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Priority;
    use crate::rows::MemoryRows;

    const TABLE: Table<(String, Priority), u64> = Table::new(0x41, "test");

    #[test]
    fn keys_sort_by_their_parts_and_read_back() {
        let keys = [("a", 0), ("a", 1), ("a", 256), ("aa", 0), ("b", u32::MAX)];
        let written: Vec<_> = keys
            .iter()
            .map(|&(text, number)| TABLE.key((&text.to_owned(), &Priority(number))))
            .collect();
        assert!(written.is_sorted());
        for (bytes, (text, number)) in written.iter().zip(keys) {
            assert_eq!(
                <(String, Priority)>::read(&bytes[1..]),
                Some((text.to_owned(), Priority(number)))
            );
        }
    }

    #[test]
    fn a_range_under_a_lead_holds_its_rows_only() {
        let mut rows = MemoryRows::default();
        for (text, number) in [("a", 7), ("a", u32::MAX), ("aa", 1), ("b", 2)] {
            TABLE.put(
                &mut rows,
                (&text.to_owned(), &Priority(number)),
                &u64::from(number),
            );
        }
        let found = TABLE.scan(&rows, &TABLE.under((&"a".to_owned(),)), 10);
        assert_eq!(
            found.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            [7, u64::from(u32::MAX)]
        );
        assert_eq!(TABLE.scan(&rows, &TABLE.all(), 10).len(), 4);
    }

    #[test]
    fn a_walk_crosses_page_borders() {
        let mut rows = MemoryRows::default();
        let count = WALK_PAGE as u32 * 2;
        for number in 0..count {
            TABLE.put(
                &mut rows,
                (&"a".to_owned(), &Priority(number)),
                &u64::from(number),
            );
        }
        let walked: Vec<_> = TABLE
            .walk(&rows, TABLE.all())
            .map(|(_, value)| value)
            .collect();
        assert_eq!(walked, (0..u64::from(count)).collect::<Vec<_>>());
    }

    #[test]
    fn values_of_another_version_or_with_a_tail_do_not_decode() {
        let bytes = TABLE.encode(&7);
        assert_eq!(TABLE.read(&bytes), Some(7));
        assert_eq!(TABLE.read(&[2, 7]), None);
        assert_eq!(TABLE.read(&[1, 7, 0]), None);
        assert_eq!(TABLE.read(&[]), None);
    }

    #[test]
    fn an_earlier_version_is_read_and_the_present_one_written() {
        let doubled =
            |version, payload: &[u8]| Some(whole::<u64>(payload)? * u64::from(version) * 2);
        let table: Table<(), u64> = Table::versioned(0x42, "test", 3, doubled);
        assert_eq!(table.encode(&7), [3, 7]);
        assert_eq!(table.read(&[3, 7]), Some(7));
        assert_eq!(table.read(&[1, 7]), Some(14));
        assert_eq!(table.read(&[2, 7, 0]), None);
    }
}
