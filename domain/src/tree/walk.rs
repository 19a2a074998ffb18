//! A place in a tree, from the root down: what reading, comparing and editing move along. It
//! opens chunks only when told to, and checks each against its address and its parent.

use super::chunk::{Chunk, Link, TreeKind};
use super::{ChunkFault, ChunkSource, Hash, Item, TreeError};

/// What a walk stands before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head<'a> {
    /// A chunk of this level that has not been opened.
    Below { level: u8, link: Link },
    /// An item of a leaf.
    Item { key: &'a [u8], value: &'a [u8] },
}

/// A chunk that has been opened, and the item of it that the walk is at.
#[derive(Debug)]
struct Frame {
    chunk: Chunk,
    at: usize,
}

/// A place in a tree. No frame on the stack is used up, so that the top one tells the place.
#[derive(Debug)]
pub(super) struct Walk<'a, S: ?Sized> {
    source: &'a S,
    kind: TreeKind,
    stack: Vec<Frame>,
}

impl<'a, S: ChunkSource + ?Sized> Walk<'a, S> {
    /// Stands before the root, which it opens to learn its level.
    pub(super) fn new(source: &'a S, kind: TreeKind, root: Hash) -> Result<Self, TreeError> {
        let mut walk = Self {
            source,
            kind,
            stack: Vec::new(),
        };
        if root != Hash::EMPTY_TREE {
            let chunk = load(source, kind, root)?;
            if chunk.level > 0 && chunk.items.len() == 1 {
                return Err(ChunkFault::NotCanonical.of(root));
            }
            walk.stack.push(Frame { chunk, at: 0 });
        }
        Ok(walk)
    }

    /// What is next.
    pub(super) fn head(&self) -> Option<Head<'_>> {
        let frame = self.stack.last()?;
        let (key, value) = frame.chunk.items.get(frame.at)?;
        match frame.chunk.link(frame.at) {
            Some(link) => Some(Head::Below {
                level: frame.chunk.level - 1,
                link,
            }),
            None => Some(Head::Item { key, value }),
        }
    }

    /// Goes past what is next, unopened or not.
    pub(super) fn step(&mut self) {
        while let Some(frame) = self.stack.last_mut() {
            frame.at += 1;
            if frame.at < frame.chunk.items.len() {
                return;
            }
            self.stack.pop();
        }
    }

    /// Goes past the item that is next, and gives it away: a leaf's items are not looked at again behind the walk.
    pub(super) fn take(&mut self) -> Option<Item> {
        let frame = self.stack.last_mut().filter(|top| top.chunk.level == 0)?;
        let item = frame.chunk.items.get_mut(frame.at).map(std::mem::take);
        self.step();
        item
    }

    /// Opens the chunk that is next, and stands before its first item.
    pub(super) fn descend(&mut self) -> Result<(), TreeError> {
        if let Some((_, chunk)) = self.open()? {
            self.stack.push(Frame { chunk, at: 0 });
        }
        Ok(())
    }

    /// The chunk that is next, checked against its parent; nothing where no chunk is next.
    pub(super) fn open(&self) -> Result<Option<(Link, Chunk)>, TreeError> {
        let Some((frame, link)) = self
            .stack
            .last()
            .and_then(|frame| Some((frame, frame.chunk.link(frame.at)?)))
        else {
            return Ok(None);
        };
        let chunk = load(self.source, self.kind, link.hash)?;
        let (last_key, _) = &frame.chunk.items[frame.at];
        let fault = if chunk.level + 1 != frame.chunk.level {
            Some(ChunkFault::Level)
        } else if chunk.last_key() != last_key || chunk.count() != link.count {
            Some(ChunkFault::Parent)
        } else if self
            .key_before()
            .is_some_and(|key| chunk.first_key() <= key)
        {
            Some(ChunkFault::Order)
        } else {
            None
        };
        match fault {
            Some(fault) => Err(fault.of(link.hash)),
            None => Ok(Some((link, chunk))),
        }
    }

    /// The last key before what is next.
    fn key_before(&self) -> Option<&[u8]> {
        let frame = self.stack.iter().rev().find(|frame| frame.at > 0)?;
        frame
            .chunk
            .items
            .get(frame.at - 1)
            .map(|(key, _)| key.as_slice())
    }

    /// Within the chunk opened last, goes to the first item that is not before `key`; where there
    /// is none, to the end of the walk.
    pub(super) fn skip_to(&mut self, key: &[u8]) {
        let Some(top) = self.stack.last_mut() else {
            return;
        };
        let at = top
            .chunk
            .items
            .partition_point(|(last, _)| last.as_slice() < key);
        if at < top.chunk.items.len() {
            top.at = at;
        } else {
            self.stack.clear();
        }
    }

    /// Moves forward to the chunk of `level` in which `key` is or would be; past the end, that is
    /// the last one. The level is below the root's, and keys ascend from call to call.
    pub(super) fn seek(&mut self, level: u8, key: &[u8]) -> Result<(), TreeError> {
        while self.stack.len() > 1
            && self
                .stack
                .last()
                .is_some_and(|top| top.chunk.last_key() < key)
        {
            self.stack.pop();
        }
        while let Some(top) = self.stack.last_mut() {
            let at = top
                .chunk
                .items
                .partition_point(|(last, _)| last.as_slice() < key);
            top.at = at.min(top.chunk.items.len() - 1);
            if top.chunk.level <= level + 1 {
                return Ok(());
            }
            self.descend()?;
        }
        Ok(())
    }

    /// Goes on to the next chunk of `level`.
    pub(super) fn next_chunk(&mut self, level: u8) -> Result<(), TreeError> {
        self.step();
        while self
            .stack
            .last()
            .is_some_and(|top| top.chunk.level > level + 1)
        {
            self.descend()?;
        }
        Ok(())
    }

    /// Whether nothing comes after what is next.
    pub(super) fn is_last(&self) -> bool {
        self.stack
            .iter()
            .all(|frame| frame.at + 1 == frame.chunk.items.len())
    }
}

/// Reads a chunk and checks its address, its format and its kind.
pub(super) fn load<S: ChunkSource + ?Sized>(
    source: &S,
    kind: TreeKind,
    hash: Hash,
) -> Result<Chunk, TreeError> {
    let bytes = source.chunk(&hash).ok_or(TreeError::Missing(hash))?;
    if Hash::of(&bytes) != hash {
        return Err(ChunkFault::Address.of(hash));
    }
    let chunk = Chunk::decode(&bytes).map_err(|fault| fault.of(hash))?;
    if chunk.kind != kind {
        return Err(ChunkFault::Kind.of(hash));
    }
    Ok(chunk)
}
