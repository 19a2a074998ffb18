//! What a chunk of any kind refers to. Whoever counts, ships or collects chunks follows these
//! references from a manifest's root, through the heads of snapshots, to the leaves.

use super::chunk::Parsed;
use super::{ChunkFault, HEAD_HEADER, Hash, TreeError, TreeKind};
use crate::content::{RouteContent, RouteEntry};

/// The chunks that this chunk refers to: an inner chunk to its children, a head to the roots of
/// its trees (those that have items), a leaf of a manifest to the heads of the snapshots, any
/// other leaf to none.
///
/// # Errors
/// When the bytes are no valid chunk.
pub fn children(bytes: &[u8]) -> Result<Vec<Hash>, TreeError> {
    references(bytes).map_err(|fault| fault.of(Hash::of(bytes)))
}

fn references(bytes: &[u8]) -> Result<Vec<Hash>, ChunkFault> {
    if bytes.starts_with(&HEAD_HEADER) {
        let head =
            RouteContent::decode(bytes).map_err(|error| ChunkFault::Content(error.to_string()))?;
        let roots = [head.rules, head.upstreams];
        return Ok(roots
            .into_iter()
            .filter(|root| *root != Hash::EMPTY_TREE)
            .collect());
    }
    let chunk = Parsed::of(bytes)?;
    if chunk.level > 0 {
        return Ok(chunk.links().map(|link| link.hash).collect());
    }
    match chunk.kind {
        TreeKind::Routes => chunk.values().map(head_of).collect(),
        TreeKind::Rules | TreeKind::Upstreams => Ok(Vec::new()),
    }
}

fn head_of(value: &[u8]) -> Result<Hash, ChunkFault> {
    let entry =
        RouteEntry::decode(value).map_err(|error| ChunkFault::Content(error.to_string()))?;
    Ok(entry.head)
}
