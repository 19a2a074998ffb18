//! Reading a tree: one item, or all in order.

use super::walk::{Head, Walk};
use super::{ChunkSource, Hash, Item, TreeError, TreeKind};

/// The value at `key`.
///
/// # Errors
/// When a chunk on the way is missing or corrupt.
pub fn get<S: ChunkSource + ?Sized>(
    source: &S,
    kind: TreeKind,
    root: Hash,
    key: &[u8],
) -> Result<Option<Vec<u8>>, TreeError> {
    let first = first_from(source, kind, root, key)?;
    Ok(first
        .filter(|(found, _)| found == key)
        .map(|(_, value)| value))
}

/// The first item whose key is not before `key`.
///
/// # Errors
/// When a chunk on the way is missing or corrupt.
pub fn first_from<S: ChunkSource + ?Sized>(
    source: &S,
    kind: TreeKind,
    root: Hash,
    key: &[u8],
) -> Result<Option<Item>, TreeError> {
    let mut walk = Walk::new(source, kind, root)?;
    loop {
        walk.skip_to(key);
        match walk.head() {
            Some(Head::Below { .. }) => walk.descend()?,
            Some(Head::Item { key, value }) => return Ok(Some((key.to_vec(), value.to_vec()))),
            None => return Ok(None),
        }
    }
}

/// All items in key order; chunks are opened when the iteration comes to them. After an error
/// it ends.
#[must_use]
pub fn iter<S: ChunkSource + ?Sized>(source: &S, kind: TreeKind, root: Hash) -> Items<'_, S> {
    Items {
        source,
        kind,
        root,
        state: State::Unopened,
    }
}

/// The items of a tree: see [`iter`].
#[derive(Debug)]
pub struct Items<'a, S: ?Sized> {
    source: &'a S,
    kind: TreeKind,
    root: Hash,
    state: State<'a, S>,
}

#[derive(Debug)]
enum State<'a, S: ?Sized> {
    Unopened,
    At(Walk<'a, S>),
    Ended,
}

impl<S: ChunkSource + ?Sized> Items<'_, S> {
    fn advance(&mut self) -> Result<Option<Item>, TreeError> {
        if matches!(self.state, State::Unopened) {
            self.state = State::At(Walk::new(self.source, self.kind, self.root)?);
        }
        let State::At(walk) = &mut self.state else {
            return Ok(None);
        };
        loop {
            match walk.head() {
                None => return Ok(None),
                Some(Head::Below { .. }) => walk.descend()?,
                Some(Head::Item { .. }) => return Ok(walk.take()),
            }
        }
    }
}

impl<S: ChunkSource + ?Sized> Iterator for Items<'_, S> {
    type Item = Result<Item, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Ended;
        }
        next
    }
}
