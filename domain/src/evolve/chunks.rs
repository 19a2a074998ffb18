//! Counts how often each chunk is named, by kept roots and by other chunks, and removes a chunk
//! with the last name. A tree that shares all but a few chunks with another costs those few.

use std::collections::BTreeMap;

use crate::rows::Rows;
use crate::schema::{CHUNK_COUNTS, delete_chunk, get_chunk, put_chunk};
use crate::tree::{self, Hash};

/// Counts one more name of `root`, and stores it and what it names where that is new.
pub(super) fn keep(rows: &mut impl Rows, root: Hash, chunks: &BTreeMap<Hash, Vec<u8>>) {
    let mut named = named_root(root);
    while let Some(hash) = named.pop() {
        let count = CHUNK_COUNTS.get(rows, (&hash,)).unwrap_or(0);
        CHUNK_COUNTS.put(rows, (&hash,), &(count + 1));
        if count > 0 {
            continue;
        }
        let Some(bytes) = chunks.get(&hash) else {
            rows.broken(&format!(
                "chunk {hash} is named by a kept tree but was never given"
            ));
            return;
        };
        put_chunk(rows, &hash, bytes);
        named.extend(children(rows, &hash, bytes));
    }
}

/// Counts one name of `root` less, and removes it and what it names where that was the last.
pub(super) fn release(rows: &mut impl Rows, root: Hash) {
    let mut named = named_root(root);
    while let Some(hash) = named.pop() {
        let count = CHUNK_COUNTS.get(rows, (&hash,)).unwrap_or(0);
        if count > 1 {
            CHUNK_COUNTS.put(rows, (&hash,), &(count - 1));
            continue;
        }
        let Some(bytes) = get_chunk(rows, &hash) else {
            rows.broken(&format!("chunk {hash} is dropped but was not kept"));
            return;
        };
        CHUNK_COUNTS.delete(rows, (&hash,));
        delete_chunk(rows, &hash);
        named.extend(children(rows, &hash, &bytes));
    }
}

fn named_root(root: Hash) -> Vec<Hash> {
    if root == Hash::EMPTY_TREE {
        Vec::new()
    } else {
        vec![root]
    }
}

fn children(rows: &impl Rows, hash: &Hash, bytes: &[u8]) -> Vec<Hash> {
    tree::children(bytes).unwrap_or_else(|error| {
        rows.broken(&format!("chunk {hash}: {error}"));
        Vec::new()
    })
}
