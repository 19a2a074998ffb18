//! Changing a tree. Each level is an ordered list cut into chunks; edits to a level come out as
//! edits to the level above, and so on up to the root:
//!
//! ```text
//! 1. find the old chunk in which the first edit lies; its start is an end of the one before it
//! 2. feed its items, with the edits among them, to the boundary rule
//! 3. when the old chunk ends where a new one does, what follows stays as it was: go to 1
//!    with the next edit; else go on with the next old chunk
//! 4. for the level above: remove each old chunk that was fed, add each new one
//! ```
//!
//! So the cost is the changed chunks times the height. Chunks that come out as they were are not
//! reported. Keeping the new ones, and forgetting those no longer used, is the caller's matter.

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;
use std::iter::Peekable;

use super::boundary::Boundary;
use super::chunk::{Chunk, Item, Link, TreeKind, within_limits};
use super::walk::{Walk, load};
use super::{ChunkSource, Chunks, Hash, TreeError};

/// What to change: a value sets the key, `None` removes it. Removing what is absent does nothing.
pub type Edits = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The edits of a level that have not been fed yet.
type Pending = Peekable<IntoIter<Vec<u8>, Option<Vec<u8>>>>;

/// A changed tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The new root.
    pub root: Hash,
    /// The chunks of the new tree that the old one does not have: what must be stored.
    pub chunks: Chunks,
    /// How many items the new tree has.
    pub len: u64,
}

/// Applies edits to the tree under `root`.
///
/// # Errors
/// When a chunk is missing or corrupt, or an edit is outside the limits.
pub fn edit<S: ChunkSource + ?Sized>(
    source: &S,
    kind: TreeKind,
    root: Hash,
    edits: &Edits,
) -> Result<Edited, TreeError> {
    for (key, value) in edits {
        check_limits(key, value.as_deref().unwrap_or_default())?;
    }
    let old = match root {
        Hash::EMPTY_TREE => None,
        root => Some(load(source, kind, root)?),
    };
    let mut editor = Editor {
        source,
        kind,
        root,
        old,
        chunks: Chunks::new(),
    };
    let top = editor.climb(edits.clone())?;
    let top = editor.collapse(top)?;
    Ok(Edited {
        root: top.hash,
        chunks: editor.chunks,
        len: top.count,
    })
}

fn check_limits(key: &[u8], value: &[u8]) -> Result<(), TreeError> {
    if within_limits(key, value) {
        return Ok(());
    }
    Err(TreeError::ItemSize {
        key_bytes: key.len(),
        value_bytes: value.len(),
    })
}

/// One edit under way.
struct Editor<'a, S: ?Sized> {
    source: &'a S,
    kind: TreeKind,
    root: Hash,
    /// The old root, if there is one.
    old: Option<Chunk>,
    /// What is new so far.
    chunks: Chunks,
}

/// What became of one level.
#[derive(Default)]
struct Recut {
    /// The old chunks that were fed, as the level above holds them.
    old: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The chunks that came out.
    new: Vec<Chunk>,
}

impl<S: ChunkSource + ?Sized> Editor<'_, S> {
    /// Edits level by level until nothing changes or one chunk is left.
    fn climb(&mut self, mut edits: Edits) -> Result<Link, TreeError> {
        let mut level = 0;
        while !edits.is_empty() {
            let recut = self.recut(level, edits)?;
            // At the old root's level and above, what came out is the whole level.
            let whole = self.old.as_ref().is_none_or(|old| old.level <= level);
            edits = self.keep(recut, whole);
            if whole && edits.len() <= 1 {
                let only = edits.into_values().next().flatten();
                return Ok(only
                    .as_deref()
                    .and_then(Link::decode)
                    .unwrap_or(Link::EMPTY));
            }
            level += 1;
        }
        Ok(self.old.as_ref().map_or(Link::EMPTY, |old| Link {
            hash: self.root,
            count: old.count(),
        }))
    }

    /// Stores what is new, and says what changes on the level above; where the level is whole,
    /// what the level above consists of.
    fn keep(&mut self, recut: Recut, whole: bool) -> Edits {
        let mut above: Edits = recut.old.keys().map(|key| (key.clone(), None)).collect();
        for chunk in recut.new {
            let bytes = chunk.encode();
            let key = chunk.last_key().to_vec();
            let link = Link {
                hash: Hash::of(&bytes),
                count: chunk.count(),
            };
            let value = link.encode();
            let unchanged = recut.old.get(&key) == Some(&value);
            if !unchanged {
                self.chunks.insert(link.hash, bytes);
            }
            if unchanged && !whole {
                above.remove(&key);
            } else {
                above.insert(key, Some(value));
            }
        }
        if whole {
            above.retain(|_, value| value.is_some());
        }
        above
    }

    fn recut(&self, level: u8, edits: Edits) -> Result<Recut, TreeError> {
        let mut edits = edits.into_iter().peekable();
        let mut recut = Recut::default();
        match &self.old {
            Some(old) if level < old.level => {
                let mut walk = Walk::new(self.source, self.kind, self.root)?;
                while let Some((key, _)) = edits.peek() {
                    walk.seek(level, key)?;
                    self.recut_run(&mut walk, level, &mut edits, &mut recut)?;
                }
            }
            Some(old) if level == old.level => {
                let link = Link {
                    hash: self.root,
                    count: old.count(),
                };
                recut.old.insert(old.last_key().to_vec(), link.encode());
                recut.new = self.cut(level, old.items.clone(), edits);
            }
            _ => recut.new = self.cut(level, Vec::new(), edits),
        }
        Ok(recut)
    }

    /// Cuts anew from the old chunk that is next to where an old and a new end coincide.
    fn recut_run(
        &self,
        walk: &mut Walk<'_, S>,
        level: u8,
        edits: &mut Pending,
        recut: &mut Recut,
    ) -> Result<(), TreeError> {
        let mut cutter = Cutter::new(self.kind, level);
        while let Some((link, chunk)) = walk.open()? {
            recut.old.insert(chunk.last_key().to_vec(), link.encode());
            cutter.merge(chunk.items, edits);
            if walk.is_last() {
                cutter.merge_rest(edits);
                break;
            }
            if cutter.is_at_end() {
                break;
            }
            walk.next_chunk(level)?;
        }
        recut.new.extend(cutter.finish());
        Ok(())
    }

    /// Cuts a level of which all items are at hand.
    fn cut(&self, level: u8, items: Vec<Item>, mut edits: Pending) -> Vec<Chunk> {
        let mut cutter = Cutter::new(self.kind, level);
        cutter.merge(items, &mut edits);
        cutter.merge_rest(&mut edits);
        cutter.finish()
    }

    /// The root is the lowest level's only chunk: removals can leave inner chunks with one child
    /// above it, which are not part of the tree.
    fn collapse(&mut self, mut top: Link) -> Result<Link, TreeError> {
        while top != Link::EMPTY {
            let chunk = match self.chunks.get(&top.hash) {
                Some(bytes) => Chunk::decode(bytes).map_err(|fault| fault.of(top.hash))?,
                None => return Ok(top),
            };
            let (1, Some(only)) = (chunk.items.len(), chunk.link(0)) else {
                return Ok(top);
            };
            self.chunks.remove(&top.hash);
            top = only;
        }
        Ok(top)
    }
}

/// Cuts a run of items into chunks.
struct Cutter {
    kind: TreeKind,
    level: u8,
    boundary: Boundary,
    items: Vec<Item>,
    done: Vec<Chunk>,
}

impl Cutter {
    fn new(kind: TreeKind, level: u8) -> Self {
        Self {
            kind,
            level,
            boundary: Boundary::new(level),
            items: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Feeds the items with the edits that fall among them.
    fn merge(&mut self, items: Vec<Item>, edits: &mut Pending) {
        for (key, value) in items {
            while let Some((key, value)) = edits.next_if(|(edited, _)| *edited < key) {
                self.push_some(key, value);
            }
            match edits.next_if(|(edited, _)| *edited == key) {
                Some((key, value)) => self.push_some(key, value),
                None => self.push(key, value),
            }
        }
    }

    /// Feeds the edits that come after all items.
    fn merge_rest(&mut self, edits: &mut Pending) {
        for (key, value) in edits {
            self.push_some(key, value);
        }
    }

    fn push_some(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        if let Some(value) = value {
            self.push(key, value);
        }
    }

    fn push(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let end = self.boundary.ends_after(&key, &value);
        self.items.push((key, value));
        if end {
            self.flush();
        }
    }

    /// Whether a chunk ended with the last item.
    fn is_at_end(&self) -> bool {
        self.items.is_empty()
    }

    fn flush(&mut self) {
        let items = std::mem::take(&mut self.items);
        if !items.is_empty() {
            self.done.push(Chunk {
                kind: self.kind,
                level: self.level,
                items,
            });
        }
    }

    fn finish(mut self) -> Vec<Chunk> {
        self.flush();
        self.done
    }
}
