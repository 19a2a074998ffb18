//! The last good configurations on disk: chunks by their hash, and which manifest was in use.
//!
//! ```text
//! pack-…      chunks; one file for what a manifest brought that was not there before
//! manifest-…  which manifest; the one with the highest number is the newest
//! trust       whose signatures are believed
//! starts      how the process began and ended lately, for the breaker
//! *.new       being written; means nothing
//! lock        held by the process that uses the directory
//! ```
//!
//! On a real disk all of it is in a [`SealedDirectory`], which encrypts files and refuses those that
//! somebody else has written.
//!
//! 1. [`Store::keep`] writes the chunks that are new, then the pointer beside its place, then
//!    flips it by a rename. It returns once all of that is durable.
//! 2. The edge takes the manifest into use. What an edge serves is therefore always on its disk,
//!    and a restart never brings it back to something older.
//! 3. If it cannot be used after all, [`Store::withdraw`] removes the pointer again; otherwise
//!    [`Store::tidy`] drops what only manifests before the last [`MANIFESTS_KEPT`] needed.
//!
//! A crash between any two steps leaves the manifest before or the new one. A newest manifest of
//! which anything is damaged gives way to the one before it. The store asks nobody and waits for
//! nobody: where nothing is usable it starts empty and says so.
//!
//! What chunks mean, and which manifest should be followed, is left to others.

mod compact;
mod directory;
mod index;
mod key;
mod memory;
mod open;
mod pack;
mod pointer;
mod record;
mod sealed;
mod starts;
#[cfg(test)]
mod tests;
mod trusted;
mod warm;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use domain::tree::{self, ChunkSource, Hash};
use edge_protocol::follower::{Chunks, Held, Holdings};
use edge_protocol::signing::TrustSet;
use edge_protocol::{ManifestRef, SignedManifest};
use injection::{Mutant, Point, mutant, point};

pub use directory::{Directory, DiskDirectory};
pub use key::{StoreKey, StoreKeyError};
pub use memory::MemoryDirectory;
pub use open::Opened;
pub use pointer::Pointer;
pub use sealed::SealedDirectory;

use self::index::{Candidate, Index, Place};
use self::pack::PackBuilder;
use self::warm::Warm;
use crate::breaker::Starts;

/// How many manifests are kept: the one in use, and two to fall back to when the disk damages the
/// newest, and the one before it.
pub const MANIFESTS_KEPT: usize = 3;

const PACK: &str = "pack-";
const MANIFEST: &str = "manifest-";
const UNFINISHED: &str = ".new";

/// The store.
pub struct Store {
    directory: Box<dyn Directory>,
    environment: String,
    index: Index,
    /// Bytes of the chunks in each pack, referred to or not.
    packs: BTreeMap<u64, u64>,
    /// By number, so the newest is last.
    pointers: BTreeMap<u64, Pointer>,
    /// The number of the next file.
    next: u64,
    /// Set once something that is held turned out to be unreadable: from then on whether a tree
    /// is held is found out chunk by chunk.
    damaged: AtomicBool,
    /// What was read when it was opened.
    warm: Warm,
    /// As they stand on disk, or should.
    starts: Starts,
    /// Likewise.
    trusted: Option<TrustSet>,
    trusted_is_written: bool,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("packs", &self.packs)
            .field("pointers", &self.pointers)
            .finish_non_exhaustive()
    }
}

/// Why a manifest was not kept. What was kept before still is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be written: the disk is full, or failing.
    #[error("cannot write {name}: {source}")]
    Write {
        /// Which file.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A chunk under the root is neither held nor given.
    #[error("chunk {0} is missing")]
    Missing(Hash),
    /// A chunk does not decode.
    #[error("a chunk does not decode: {0}")]
    Chunk(#[from] tree::TreeError),
    /// A pointer cannot be encoded.
    #[error("the pointer cannot be encoded: {0}")]
    Pointer(#[from] postcard::Error),
}

impl Store {
    /// The manifests that can be served from here, the newest first.
    pub fn kept(&self) -> impl Iterator<Item = &Pointer> {
        self.pointers.values().rev()
    }

    /// Makes what was signed the newest manifest, durably. `chunks` must hold what is not held under its
    /// root already; only those are written.
    ///
    /// # Errors
    /// When something is missing or cannot be written. The manifest that was the newest still is.
    pub fn keep(&mut self, signed: &SignedManifest, chunks: &Chunks) -> Result<(), StoreError> {
        let manifest = signed.manifest;
        let pointer = Pointer {
            environment: self.environment.clone(),
            environment_id: signed.environment_id.clone(),
            manifest,
            proof: signed.proof.clone(),
        };
        if self.kept().next() == Some(&pointer) {
            return Ok(());
        }
        self.write_trusted()?;
        let (packs, candidates) = self.pack_up(chunks)?;
        if let Some(missing) = self.index.missing(manifest.root, &candidates)
            && !mutant::active(Mutant::PartialAccepted)
        {
            return Err(StoreError::Missing(missing));
        }
        let encoded = pointer.encode()?;
        let number = self.number();
        self.pass(Point::BeforeEdgePersist)?;
        self.write_packs(packs)?;
        if let Err(error) = self.flip(&format!("{MANIFEST}{number:016x}"), &encoded) {
            self.remove_dead_packs();
            return Err(error);
        }
        for (hash, candidate) in &candidates {
            self.index.relocate(hash, candidate.place);
        }
        self.index.retain(manifest.root, &candidates);
        self.pointers.insert(number, pointer);
        self.pass(Point::AfterEdgePersist)
    }

    /// Passes a fail point, as a write that may fail.
    fn pass(&self, point: Point) -> Result<(), StoreError> {
        point::hit(point).map_err(|broken| StoreError::Write {
            name: point.name().to_owned(),
            source: broken.into(),
        })
    }

    /// Takes back the newest manifest, because it cannot be used. Says what went wrong on the way;
    /// a pointer that stays behind is tried, and refused again, at the next start.
    pub fn withdraw(&mut self, manifest: &ManifestRef) -> Option<StoreError> {
        let (&number, newest) = self.pointers.last_key_value()?;
        if newest.manifest != *manifest {
            return None;
        }
        self.drop_pointer(number)
    }

    /// Drops manifests that are no longer kept, and makes room. To be called once the newest
    /// manifest is in use. What fails is tried again the next time.
    pub fn tidy(&mut self) -> Option<StoreError> {
        while self.pointers.len() > MANIFESTS_KEPT {
            let Some((&oldest, _)) = self.pointers.first_key_value() else {
                break;
            };
            if let Some(error) = self.drop_pointer(oldest) {
                return Some(error);
            }
        }
        let result = self.compact();
        self.remove_dead_packs();
        result.err()
    }

    /// Whether something that is held turned out to be unreadable since the store was opened.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Puts what is to be written of `chunks` into packs: what is not held, or might be damaged.
    fn pack_up(
        &mut self,
        chunks: &Chunks,
    ) -> Result<(Packs, BTreeMap<Hash, Candidate>), StoreError> {
        let mut packs = Packs::new();
        let mut candidates = BTreeMap::new();
        for (hash, chunk) in chunks {
            if self.index.contains(hash) && !self.is_damaged() {
                continue;
            }
            let children = tree::children(chunk)?.into_boxed_slice();
            let place = self.add_to_packs(&mut packs, *hash, chunk);
            candidates.insert(*hash, Candidate { place, children });
        }
        Ok((packs, candidates))
    }

    fn add_to_packs(&mut self, packs: &mut Packs, hash: Hash, chunk: &[u8]) -> Place {
        if !packs.last().is_some_and(|(_, pack)| pack.has_room(chunk)) {
            packs.push((self.number(), PackBuilder::new()));
        }
        let (number, builder) = packs
            .last_mut()
            .expect("a pack was added if there was none");
        let (offset, length) = builder.add(hash, chunk);
        Place {
            pack: *number,
            offset,
            length,
        }
    }

    /// All or none: what was written before an error is removed again.
    fn write_packs(&mut self, packs: Packs) -> Result<(), StoreError> {
        for (written, (number, pack)) in packs.iter().enumerate() {
            let name = format!("{PACK}{number:016x}");
            if let Err(error) = self.write(&name, pack.bytes()) {
                for (number, _) in &packs[..=written] {
                    self.remove(&format!("{PACK}{number:016x}"));
                }
                return Err(error);
            }
        }
        for (number, pack) in packs {
            self.packs.insert(number, pack.chunk_bytes);
        }
        Ok(())
    }

    /// [Replaces](Self::replace) a file that was not there; after an error it is not. The one sync of the directory
    /// also makes the packs' names durable: a pointer without its pack is not used at the next start, and
    /// nothing was served by it before.
    fn flip(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let flipped = self.replace(name, bytes);
        if flipped.is_err() {
            self.remove(&format!("{name}{UNFINISHED}"));
            self.remove(name);
        }
        flipped
    }

    fn drop_pointer(&mut self, number: u64) -> Option<StoreError> {
        let pointer = self.pointers.remove(&number)?;
        self.index.release(pointer.manifest.root);
        let name = format!("{MANIFEST}{number:016x}");
        let removed = self
            .directory
            .remove(&name)
            .and_then(|()| self.directory.sync());
        removed
            .err()
            .map(|source| StoreError::Write { name, source })
    }

    /// Packs of which nothing is referred to go; their names need not be gone durably.
    fn remove_dead_packs(&mut self) {
        let dead: Vec<u64> = self
            .packs
            .keys()
            .copied()
            .filter(|pack| self.index.live_bytes(*pack) == 0)
            .collect();
        for pack in dead {
            self.packs.remove(&pack);
            self.remove(&format!("{PACK}{pack:016x}"));
        }
    }

    /// Lets go of what was read when the store was opened; from now on chunks are read from the disk.
    pub fn settle(&mut self) {
        self.warm = Warm::default();
    }

    fn read(&self, hash: &Hash, place: Place) -> Option<Vec<u8>> {
        if let Some(chunk) = self.warm.chunk(hash) {
            return Some(chunk);
        }
        let name = format!("{PACK}{:016x}", place.pack);
        let length = usize::try_from(place.length).ok()?;
        let bytes = self.directory.read(&name, place.offset, length).ok();
        let bytes = bytes.filter(|bytes| Hash::of(bytes) == *hash);
        if bytes.is_none() {
            self.damaged.store(true, Ordering::Relaxed);
        }
        bytes
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.directory
            .write(name, bytes)
            .map_err(|source| StoreError::Write {
                name: name.to_owned(),
                source,
            })
    }

    /// What cannot be removed is in nobody's way; the next start finds it again.
    fn remove(&self, name: &str) {
        let _ = self.directory.remove(name);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

/// Packs to be written, by number.
type Packs = Vec<(u64, PackBuilder)>;

impl ChunkSource for Store {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        self.read(hash, self.index.place(hash)?)
    }
}

impl Holdings for Store {
    fn held(&self, hash: &Hash) -> Held {
        let Some(place) = self.index.place(hash) else {
            return Held::Nothing;
        };
        if !self.is_damaged() {
            return Held::Tree;
        }
        self.read(hash, place)
            .map_or(Held::Nothing, |bytes| Held::Chunk(Bytes::from(bytes)))
    }

    fn chunk(&self, hash: &Hash) -> Option<Bytes> {
        ChunkSource::chunk(self, hash).map(Bytes::from)
    }
}
