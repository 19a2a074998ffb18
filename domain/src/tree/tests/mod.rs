//! Trees against plain maps: the same content has the same root however it came about, and the
//! work done follows what changed.

mod cost;
mod format;
mod model;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::boundary::Boundary;
use super::chunk::{Chunk, Link};
use super::*;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A tree and the chunks it has ever had.
#[derive(Clone, Debug, Default)]
struct Tree {
    root: Option<Hash>,
    chunks: Chunks,
    len: u64,
}

impl Tree {
    fn of(map: &Map) -> Self {
        let mut tree = Self::default();
        tree.edit(
            &map.iter()
                .map(|(key, value)| (key.clone(), Some(value.clone())))
                .collect(),
        );
        tree
    }

    fn root(&self) -> Hash {
        self.root.unwrap_or(Hash::EMPTY_TREE)
    }

    fn edit(&mut self, edits: &Edits) -> Edited {
        let edited = edit(&self.chunks, TreeKind::Rules, self.root(), edits).unwrap();
        self.chunks.extend(edited.chunks.clone());
        self.root = Some(edited.root);
        self.len = edited.len;
        edited
    }

    fn height(&self) -> usize {
        match self.root() {
            Hash::EMPTY_TREE => 0,
            root => usize::from(Chunk::decode(&self.chunks[&root]).unwrap().level) + 1,
        }
    }

    fn items(&self) -> Map {
        iter(&self.chunks, TreeKind::Rules, self.root())
            .map(Result::unwrap)
            .collect()
    }

    /// The chunks that can be reached from the root.
    fn reachable(&self) -> BTreeSet<Hash> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<Hash> = self
            .root
            .into_iter()
            .filter(|root| *root != Hash::EMPTY_TREE)
            .collect();
        while let Some(hash) = open.pop() {
            seen.insert(hash);
            open.extend(children(&self.chunks[&hash]).unwrap());
        }
        seen
    }
}

fn apply(map: &mut Map, edits: &Edits) {
    for (key, value) in edits {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}

/// A source that remembers what it was asked for.
struct Recording<'a> {
    chunks: &'a Chunks,
    asked: RefCell<Vec<Hash>>,
}

impl<'a> Recording<'a> {
    fn of(chunks: &'a Chunks) -> Self {
        Self {
            chunks,
            asked: RefCell::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.borrow().iter().collect::<BTreeSet<_>>().len()
    }
}

impl ChunkSource for Recording<'_> {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        self.asked.borrow_mut().push(*hash);
        self.chunks.get(hash).cloned()
    }
}

/// Builds a tree in the most obvious way: level by level, from all items.
fn plain_root(map: &Map) -> Hash {
    let mut items: Vec<(Vec<u8>, Vec<u8>)> = map.clone().into_iter().collect();
    for level in 0.. {
        let mut boundary = Boundary::new(level);
        let mut chunks = vec![Vec::new()];
        for (key, value) in items {
            let end = boundary.ends_after(&key, &value);
            chunks.last_mut().unwrap().push((key, value));
            if end {
                chunks.push(Vec::new());
            }
        }
        chunks.retain(|items| !items.is_empty());
        items = chunks
            .into_iter()
            .map(|items| {
                let chunk = Chunk {
                    kind: TreeKind::Rules,
                    level,
                    items,
                };
                let link = Link {
                    hash: Hash::of(&chunk.encode()),
                    count: chunk.count(),
                };
                (chunk.last_key().to_vec(), link.encode())
            })
            .collect();
        match items.as_slice() {
            [] => return Hash::EMPTY_TREE,
            [(_, only)] => return Link::decode(only).unwrap().hash,
            _ => {}
        }
    }
    unreachable!("each level has fewer chunks than the one below")
}

fn key(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn value(number: u32) -> Vec<u8> {
    format!("value {number}").into_bytes()
}

/// The numbers 0, 2, 4 … as items.
fn even(count: u32) -> Map {
    (0..count)
        .map(|number| (key(number * 2), value(number)))
        .collect()
}
