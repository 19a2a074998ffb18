//! One manifest being fetched: walks down from its root, skips what is held, and asks for the rest
//! in the order in which it is found.
//!
//! A chunk found under two parents is asked for once. When a newer manifest takes the place of
//! this one, the chunks that arrived carry over, because most of them belong to both.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use domain::tree::{self, Hash};
use injection::{Mutant, mutant};

use super::asked::Asked;
use crate::limits::{FETCH_BYTES_MAX, WANT_HASHES_MAX};
use crate::patch::{Patch, Wanted};
use crate::{ManifestRef, Moment, SignedManifest};

/// Chunks by hash.
pub type Chunks = BTreeMap<Hash, Bytes>;

/// What an edge has on its own disk.
pub trait Holdings {
    /// What is held of the chunk `hash` and of those under it.
    fn held(&self, hash: &Hash) -> Held;

    /// The bytes of a chunk that is held; nothing where it is not, or cannot be read.
    fn chunk(&self, hash: &Hash) -> Option<Bytes>;
}

/// How much of a tree is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Not even the chunk.
    Nothing,
    /// The chunk, whose bytes these are; whether those under it are held must be asked.
    Chunk(Bytes),
    /// The chunk and all under it.
    Tree,
}

/// Chunks to be asked for.
#[derive(Debug, Default)]
pub(super) struct Wants {
    pub(super) whole: Vec<Hash>,
    /// Those in whose places others are held.
    pub(super) over_others: Vec<Wanted>,
}

#[derive(Debug)]
pub(super) struct Fetch {
    manifest: SignedManifest,
    /// Found, not looked at yet.
    frontier: Vec<Hash>,
    /// Found under this manifest's root at any time.
    seen: BTreeSet<Hash>,
    /// Found and neither held nor received.
    missing: BTreeSet<Hash>,
    /// To be asked for, in the order found. What has arrived or was asked for meanwhile is skipped.
    queue: VecDeque<Hash>,
    /// What the edge has in the place of a chunk that it lacks, as far as that can be guessed.
    bases: BTreeMap<Hash, Hash>,
    /// Received and not put together yet; no more than were asked for.
    patches: Vec<Patch>,
    chunks: Chunks,
    bytes: u64,
    chunks_received: u64,
    bytes_received: u64,
}

impl Fetch {
    pub(super) fn new(manifest: SignedManifest, current: Option<&ManifestRef>) -> Self {
        Self::resume(manifest, current, Chunks::new())
    }

    /// A fetch for which `chunks` have been received before, of an edge that serves by `current`.
    pub(super) fn resume(
        manifest: SignedManifest,
        current: Option<&ManifestRef>,
        chunks: Chunks,
    ) -> Self {
        let root = manifest.manifest.root;
        let known = current.map(|current| current.root);
        let known = known.filter(|root| *root != Hash::EMPTY_TREE);
        let mut fetch = Self {
            manifest,
            frontier: Vec::new(),
            seen: BTreeSet::new(),
            missing: BTreeSet::new(),
            queue: VecDeque::new(),
            bases: known.map(|known| (root, known)).into_iter().collect(),
            patches: Vec::new(),
            bytes: bytes_of(&chunks),
            chunks,
            chunks_received: 0,
            bytes_received: 0,
        };
        fetch.discover([root]);
        fetch
    }

    /// The same fetch, for a newer manifest.
    pub(super) fn redirect(self, manifest: SignedManifest, current: Option<&ManifestRef>) -> Self {
        Self {
            chunks_received: self.chunks_received,
            bytes_received: self.bytes_received,
            ..Self::resume(manifest, current, self.chunks)
        }
    }

    /// The manifest that is being fetched is proven by this.
    pub(super) fn prove(&mut self, signed: SignedManifest) {
        self.manifest = signed;
    }

    pub(super) fn manifest(&self) -> &ManifestRef {
        &self.manifest.manifest
    }

    /// The same, with what proves it.
    pub(super) fn signed(&self) -> &SignedManifest {
        &self.manifest
    }

    /// Chunks and bytes received so far.
    pub(super) fn received(&self) -> (u64, u64) {
        (self.chunks_received, self.bytes_received)
    }

    /// Looks at everything found. True once nothing is missing.
    ///
    /// # Errors
    /// When this manifest cannot be used by any edge, and why.
    pub(super) fn walk(&mut self, holdings: &impl Holdings) -> Result<bool, String> {
        for patch in std::mem::take(&mut self.patches) {
            self.put_together(&patch, holdings);
        }
        while let Some(hash) = self.frontier.pop() {
            let chunk = match self.chunks.get(&hash) {
                Some(chunk) => chunk.clone(),
                None => match holdings.held(&hash) {
                    Held::Tree => continue,
                    Held::Chunk(chunk) => chunk,
                    Held::Nothing => {
                        self.missing.insert(hash);
                        self.queue.push_back(hash);
                        continue;
                    }
                },
            };
            let children = tree::children(&chunk)
                .map_err(|error| format!("chunk {hash} does not decode: {error}"))?;
            self.guess_bases(&hash, &children, holdings);
            self.discover(children);
        }
        self.check_size()?;
        if mutant::active(Mutant::PartialAccepted) {
            return Ok(self.missing.is_empty() || !self.chunks.is_empty());
        }
        Ok(self.missing.is_empty())
    }

    /// The next chunks to ask for, while not too many are asked for already.
    pub(super) fn poll_want(&mut self, now: Moment, asked: &mut Asked) -> Option<Wants> {
        let count = asked.room().min(WANT_HASHES_MAX);
        let mut hashes = Vec::new();
        while hashes.len() < count {
            let Some(hash) = self.queue.pop_front() else {
                break;
            };
            if self.missing.contains(&hash) && !asked.contains(&hash) {
                hashes.push(hash);
            }
        }
        if hashes.is_empty() {
            return None;
        }
        asked.ask(now, &hashes);
        let mut wants = Wants::default();
        for hash in hashes {
            match self.bases.get(&hash) {
                Some(&base) => wants.over_others.push(Wanted { hash, base }),
                None => wants.whole.push(hash),
            }
        }
        Some(wants)
    }

    /// Takes in a chunk that was asked for, for this manifest or for one before it.
    pub(super) fn handle_chunk(&mut self, hash: Hash, chunk: Bytes) {
        self.chunks_received += 1;
        self.bytes_received += length(&chunk);
        self.take_in(hash, chunk);
    }

    /// Takes in a patch that was asked for; what comes of it is seen when this is walked.
    pub(super) fn handle_patch(&mut self, patch: Patch) {
        self.patches.push(patch);
    }

    fn take_in(&mut self, hash: Hash, chunk: Bytes) {
        let length = length(&chunk);
        if self.chunks.insert(hash, chunk).is_none() {
            self.bytes += length;
        }
        if self.missing.remove(&hash) {
            self.frontier.push(hash);
        }
    }

    /// A patch whose base cannot be read, or which gives another chunk, is nothing: the chunk is asked
    /// for as a whole then.
    fn put_together(&mut self, patch: &Patch, holdings: &impl Holdings) {
        let Wanted { hash, base } = patch.wanted;
        if !self.missing.contains(&hash) {
            return;
        }
        let known = self.chunks.get(&base).cloned();
        let known = known.or_else(|| holdings.chunk(&base));
        match known.and_then(|base| patch.apply(&base)) {
            Some(chunk) => {
                self.chunks_received += 1;
                self.bytes_received += length(&patch.middle);
                self.take_in(hash, chunk);
            }
            None => {
                self.bases.remove(&hash);
                self.queue.push_front(hash);
            }
        }
    }

    /// What stood in a chunk's place before has, in the same order, what stood in the places of those
    /// under it. A guess that is wrong costs a look; most changes leave all places as they are.
    fn guess_bases(&mut self, hash: &Hash, children: &[Hash], holdings: &impl Holdings) {
        let Some(base) = self.bases.get(hash) else {
            return;
        };
        let before = holdings.chunk(base).map(|chunk| tree::children(&chunk));
        let Some(Ok(before)) = before else { return };
        let only = |some: &[Hash], others: &[Hash]| -> Vec<Hash> {
            let others: BTreeSet<_> = others.iter().collect();
            let only = some.iter().filter(|hash| !others.contains(hash));
            only.copied().collect()
        };
        let (new, old) = (only(children, &before), only(&before, children));
        self.bases.extend(new.into_iter().zip(old));
    }

    pub(super) fn needs_any(&self, hashes: &[Hash]) -> bool {
        hashes.iter().any(|hash| self.missing.contains(hash))
    }

    /// Everything is asked for as a whole.
    pub(super) fn forget_bases(&mut self) {
        self.bases.clear();
    }

    /// What is missing is asked for again, on the next connection.
    pub(super) fn ask_again(&mut self) {
        self.queue = self.missing.iter().copied().collect();
    }

    /// Those that this manifest needs.
    pub(super) fn into_chunks(mut self) -> Chunks {
        self.drop_unseen();
        self.chunks
    }

    fn discover(&mut self, hashes: impl IntoIterator<Item = Hash>) {
        for hash in hashes {
            if hash != Hash::EMPTY_TREE && self.seen.insert(hash) {
                self.frontier.push(hash);
            }
        }
    }

    fn check_size(&mut self) -> Result<(), String> {
        if self.bytes > FETCH_BYTES_MAX {
            self.drop_unseen();
        }
        if self.bytes > FETCH_BYTES_MAX {
            return Err(format!(
                "the manifest needs more than {FETCH_BYTES_MAX} bytes"
            ));
        }
        Ok(())
    }

    fn drop_unseen(&mut self) {
        let seen = &self.seen;
        self.chunks.retain(|hash, _| seen.contains(hash));
        self.bytes = bytes_of(&self.chunks);
    }
}

fn bytes_of(chunks: &Chunks) -> u64 {
    chunks.values().map(|chunk| length(chunk)).sum()
}

fn length(chunk: &[u8]) -> u64 {
    u64::try_from(chunk.len()).unwrap_or(u64::MAX)
}
