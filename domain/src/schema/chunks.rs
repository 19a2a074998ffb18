//! Rows of chunks. A chunk carries its own format version and is checked against its address, so
//! its row holds its bytes and nothing else.

use crate::rows::{Rows, View};
use crate::schema::CHUNKS;
use crate::tree::Hash;

/// The chunk at `hash`.
pub fn get_chunk(view: &(impl View + ?Sized), hash: &Hash) -> Option<Vec<u8>> {
    view.get(&CHUNKS.key((hash,)))
}

/// Stores a chunk.
pub fn put_chunk(rows: &mut impl Rows, hash: &Hash, bytes: &[u8]) {
    rows.put(CHUNKS.key((hash,)), bytes.to_vec());
}

/// Removes a chunk.
pub fn delete_chunk(rows: &mut impl Rows, hash: &Hash) {
    rows.delete(CHUNKS.key((hash,)));
}
