//! The names on a simulated disk: a tree of directories, files and databases, whose changes become
//! durable in order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::Rng;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(u64),
    Database(u64),
}

/// A change of names.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Make(PathBuf, Node),
    /// With everything below.
    Remove(PathBuf),
    /// With everything below; what had the new name is gone.
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    fn touches(&self, directory: &Path) -> bool {
        let inside = |path: &Path| path.parent() == Some(directory);
        match self {
            Self::Make(path, _) | Self::Remove(path) => inside(path),
            Self::Rename(from, to) => inside(from) || inside(to),
        }
    }
}

type Tree = BTreeMap<PathBuf, Node>;

/// The names as they are now, and as they were last synced with the changes since then.
#[derive(Default)]
pub(super) struct Names {
    current: Tree,
    durable: Tree,
    pending: Vec<NameChange>,
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<Node> {
        if path == Path::new("") {
            return Some(Node::Directory);
        }
        self.current.get(path).copied()
    }

    /// The names directly in `directory`, ascending.
    pub(super) fn list(&self, directory: &Path) -> Vec<String> {
        self.current
            .keys()
            .filter(|path| path.parent() == Some(directory))
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    pub(super) fn change(&mut self, change: NameChange) {
        apply(&mut self.current, &change);
        self.pending.push(change);
    }

    /// A name that is durable at once, provided that the directory it is in is.
    pub(super) fn make_durable(&mut self, path: PathBuf, node: Node) {
        self.current.insert(path.clone(), node);
        self.durable.insert(path, node);
    }

    /// Makes all changes durable up to the last one in `directory`.
    pub(super) fn sync(&mut self, directory: &Path) {
        let Some(last) = self
            .pending
            .iter()
            .rposition(|change| change.touches(directory))
        else {
            return;
        };
        for change in self.pending.drain(..=last) {
            apply(&mut self.durable, &change);
        }
    }

    /// Keeps a random number of the first pending changes. Answers how many were lost.
    pub(super) fn crash(&mut self, rng: &mut impl Rng) -> usize {
        let pending = self.pending.len();
        let kept = pick(rng, self.pending.len());
        for change in self.pending.drain(..).take(kept) {
            apply(&mut self.durable, &change);
        }
        let directories: BTreeSet<PathBuf> = self
            .durable
            .iter()
            .filter(|(_, node)| **node == Node::Directory)
            .map(|(path, _)| path.clone())
            .collect();
        self.durable.retain(|path, _| {
            path.ancestors()
                .skip(1)
                .all(|parent| parent == Path::new("") || directories.contains(parent))
        });
        self.current = self.durable.clone();
        pending - kept
    }

    /// Every name and what it stands for.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Path, Node)> {
        self.current
            .iter()
            .map(|(path, node)| (path.as_path(), *node))
    }

    /// The files and databases that have a name, or may have one again after a crash.
    pub(super) fn reachable(&self) -> BTreeSet<u64> {
        let ids = |tree: &Tree| -> Vec<u64> {
            tree.values()
                .filter_map(|node| match node {
                    Node::Directory => None,
                    Node::File(id) | Node::Database(id) => Some(*id),
                })
                .collect()
        };
        ids(&self.current)
            .into_iter()
            .chain(ids(&self.durable))
            .collect()
    }
}

/// A number from 0 to `most`, both possible.
pub(super) fn pick(rng: &mut impl Rng, most: usize) -> usize {
    usize::try_from(rng.next_u64() % (most as u64 + 1)).expect("it is not greater than a length")
}

fn apply(tree: &mut Tree, change: &NameChange) {
    match change {
        NameChange::Make(path, node) => {
            tree.insert(path.clone(), *node);
        }
        NameChange::Remove(path) => tree.retain(|name, _| !name.starts_with(path)),
        NameChange::Rename(from, to) => {
            tree.retain(|name, _| !name.starts_with(to));
            let moved: Vec<_> = tree
                .iter()
                .filter_map(|(name, node)| {
                    Some((
                        name.clone(),
                        name.strip_prefix(from).ok()?.to_owned(),
                        *node,
                    ))
                })
                .collect();
            for (name, rest, node) in moved {
                tree.remove(&name);
                let name = if rest == Path::new("") {
                    to.clone()
                } else {
                    to.join(rest)
                };
                tree.insert(name, node);
            }
        }
    }
}
