//! Rows as bytes: what a node tells, what is encrypted, and what the state's hash is of. Each row is its key
//! and its value, each after its length in 8 bytes, big-endian; rows are in the order of their keys. Bytes
//! may be cut anywhere on the way.

use domain::rows::{Row, View};
use domain::table::after;
use sha2::{Digest, Sha256};

/// How many rows are read at a time; the biggest are chunks of some ten kilobytes.
const PAGE: usize = 64;

/// The longest key or value that is believed. The longest that is written has a few megabytes.
const PART_BYTES_MAX: u64 = 64 << 20;

const LENGTH_BYTES: usize = 8;

/// What was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// How many rows.
    pub(super) rows: u64,
    /// How many bytes they are.
    pub(super) bytes: u64,
    /// The SHA-256 of these: the state's hash.
    pub(super) state: [u8; 32],
}

/// Tells all rows of a view in pieces of about `piece` bytes, until `sink` takes no more.
pub(super) fn tell(
    view: &dyn View,
    piece: usize,
    mut sink: impl FnMut(Vec<u8>) -> bool,
) -> Option<Told> {
    let mut count = Count::default();
    let mut pending = Vec::new();
    let mut from = Vec::new();
    loop {
        let rows = view.scan(&from, &[0xff], PAGE);
        for (key, value) in &rows {
            for part in [key, value] {
                pending.extend((part.len() as u64).to_be_bytes());
                pending.extend(part);
            }
            count.rows += 1;
            if pending.len() >= piece {
                count.bytes(&pending);
                if !sink(std::mem::take(&mut pending)) {
                    return None;
                }
            }
        }
        match rows.last().filter(|_| rows.len() == PAGE) {
            Some((last, _)) => from = after(last),
            None => break,
        }
    }
    count.bytes(&pending);
    (pending.is_empty() || sink(pending)).then(|| count.told())
}

/// Counts bytes that were told.
#[derive(Default)]
pub(super) struct Count {
    pub(super) rows: u64,
    bytes: u64,
    digest: Sha256,
}

impl Count {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }

    pub(super) fn told(self) -> Told {
        Told {
            rows: self.rows,
            bytes: self.bytes,
            state: self.digest.finalize().into(),
        }
    }
}

/// Why bytes are no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRows {
    /// A length that nothing has.
    #[error("a row claims to have {0} bytes")]
    Length(u64),
    /// A row that does not come after the one before.
    #[error("its rows are out of order")]
    Order,
    /// The last row is not whole.
    #[error("it ends in the middle of a row")]
    Cut,
}

/// Takes rows out of bytes as these come.
#[derive(Default)]
pub(super) struct Rows {
    pending: Vec<u8>,
    last: Option<Vec<u8>>,
}

impl Rows {
    /// The rows that are whole with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Row>, NoRows> {
        self.pending.extend_from_slice(bytes);
        let (mut rows, mut rest) = (Vec::new(), &self.pending[..]);
        while let Some((key, behind)) = part(rest)? {
            let Some((value, behind)) = part(behind)? else {
                break;
            };
            if self.last.as_deref().is_some_and(|last| last >= key) {
                return Err(NoRows::Order);
            }
            self.last = Some(key.to_vec());
            rows.push((key.to_vec(), value.to_vec()));
            rest = behind;
        }
        let used = self.pending.len() - rest.len();
        self.pending.drain(..used);
        Ok(rows)
    }

    /// There is nothing left over.
    pub(super) fn end(&self) -> Result<(), NoRows> {
        if self.pending.is_empty() {
            Ok(())
        } else {
            Err(NoRows::Cut)
        }
    }
}

/// A part of a row, and what is behind it.
type Part<'a> = (&'a [u8], &'a [u8]);

/// A key or a value, if it is whole.
fn part(bytes: &[u8]) -> Result<Option<Part<'_>>, NoRows> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u64::from_be_bytes(*length);
    if length > PART_BYTES_MAX {
        return Err(NoRows::Length(length));
    }
    Ok(usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length)))
}

#[cfg(test)]
mod tests {
    use domain::machine::state_hash;
    use domain::rows::MemoryRows;

    use super::*;

    fn state(count: u32) -> MemoryRows {
        let row = |number: u32| (number.to_be_bytes().to_vec(), vec![7; number as usize % 50]);
        MemoryRows((0..count).map(row).collect())
    }

    #[test]
    fn rows_survive_however_they_are_cut_and_hash_as_replicas_do() {
        for (count, piece) in [(0, 1), (1, 1), (64, 100), (300, 7), (300, 100_000)] {
            let state = state(count);
            let mut bytes = Vec::new();
            let told = tell(&state, piece, |part| {
                bytes.extend(part);
                true
            });
            let told = told.unwrap();
            assert_eq!(told.state, state_hash(&state));
            assert_eq!(
                (told.rows, told.bytes),
                (u64::from(count), bytes.len() as u64)
            );
            for cut in [1, 13, 1000] {
                let mut rows = Rows::default();
                let mut found = Vec::new();
                for part in bytes.chunks(cut) {
                    found.extend(rows.push(part).unwrap());
                }
                rows.end().unwrap();
                assert_eq!(MemoryRows(found.into_iter().collect()), state);
            }
        }
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let row = |key: &[u8]| [&(key.len() as u64).to_be_bytes()[..], key, &[0; 8]].concat();
        let push = |bytes: &[u8]| Rows::default().push(bytes).map(|rows| rows.len());
        assert_eq!(push(&[row(b"a"), row(b"b")].concat()), Ok(2));
        assert_eq!(push(&[row(b"b"), row(b"a")].concat()), Err(NoRows::Order));
        assert_eq!(push(&[row(b"a"), row(b"a")].concat()), Err(NoRows::Order));
        assert_eq!(push(&[0xff; 8]), Err(NoRows::Length(u64::MAX)));
        let mut cut = Rows::default();
        cut.push(&row(b"abc")[..9]).unwrap();
        assert_eq!(cut.end(), Err(NoRows::Cut));
    }

    #[test]
    fn who_takes_no_more_is_told_no_more() {
        let mut times = 0;
        let told = tell(&state(300), 10, |_| {
            times += 1;
            times < 3
        });
        assert_eq!((told, times), (None, 3));
    }
}
