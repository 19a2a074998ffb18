//! A directory in memory that behaves like a disk at its worst: after a crash each name that was
//! not synced is, independently, as it was before or as it was left. A machine can be told to die
//! at an operation to come, which leaves a file that was being written cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Directory;

/// A directory in memory; clones are the same directory, so one survives the edge that used it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDirectory(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    now: BTreeMap<String, Vec<u8>>,
    durable: BTreeMap<String, Vec<u8>>,
    bytes_max: Option<usize>,
    /// How many writes, renames, removals and syncs are left until the machine dies.
    dies_after: Option<u64>,
    dead: bool,
    refused: u64,
    bytes_written: u64,
    writes: u64,
}

impl MemoryDirectory {
    /// The power fails. `random` decides what of that which was not synced is there afterwards.
    pub fn crash(&self, random: u64) {
        let mut files = self.0.lock();
        let files = &mut *files;
        let names: BTreeSet<_> = files
            .now
            .keys()
            .chain(files.durable.keys())
            .cloned()
            .collect();
        let mut dice = random;
        for name in names {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if (dice >> 63) == 0 {
                continue;
            }
            match files.durable.get(&name) {
                Some(bytes) => files.now.insert(name, bytes.clone()),
                None => files.now.remove(&name),
            };
        }
        files.durable = files.now.clone();
        files.dies_after = None;
        files.dead = false;
    }

    /// The power fails now. Nothing works from then until [`crash`](Self::crash), whatever a process
    /// does that has not noticed.
    pub fn die(&self, random: u64) {
        self.crash(random);
        self.0.lock().dead = true;
    }

    /// The machine dies at the `after`-th change or sync from now on; 0 is the next one. Nothing
    /// works from then until [`crash`](Self::crash).
    pub fn die_after(&self, after: u64) {
        self.0.lock().dies_after = Some(after);
    }

    /// It does not die after all.
    pub fn disarm(&self) {
        self.0.lock().dies_after = None;
    }

    /// Whether the machine died by [`die_after`](Self::die_after), and its crash is due.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.0.lock().dead
    }

    /// A bit of some file flips; `random` says which. Answers the file's name, if there is one.
    pub fn rot(&self, random: u64) -> Option<String> {
        let names = self.list().ok()?;
        let name = names.get(usize::try_from(random % names.len().max(1) as u64).ok()?)?;
        let place = random.rotate_left(32);
        self.corrupt(name, |bytes| {
            let offset = place % bytes.len().max(1) as u64;
            if let Some(byte) = usize::try_from(offset)
                .ok()
                .and_then(|at| bytes.get_mut(at))
            {
                *byte ^= 1 << (random >> 61);
            }
        });
        Some(name.clone())
    }

    /// From now on there is room for so many bytes in all.
    pub fn set_bytes_max(&self, bytes_max: Option<usize>) {
        self.0.lock().bytes_max = bytes_max;
    }

    /// How many bytes all files have now.
    #[must_use]
    pub fn bytes_held(&self) -> usize {
        self.0.lock().now.values().map(Vec::len).sum()
    }

    /// How many bytes were ever written.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.0.lock().bytes_written
    }

    /// How many writes were refused for want of room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.lock().refused
    }

    /// How many files were ever written.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.0.lock().writes
    }

    /// Changes a file behind the store's back, as bit rot does.
    pub fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut files = self.0.lock();
        if let Some(bytes) = files.now.get_mut(name) {
            change(bytes);
            let bytes = bytes.clone();
            files.durable.insert(name.to_owned(), bytes);
        }
    }
}

impl Files {
    /// Refuses if the machine is dead, or dies now.
    fn live(&mut self) -> io::Result<()> {
        if let Some(left) = self.dies_after {
            self.dies_after = left.checked_sub(1);
            self.dead |= self.dies_after.is_none();
        }
        self.living()
    }

    fn living(&self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the simulated machine died",
            ));
        }
        Ok(())
    }

    fn room(&self, name: &str) -> Option<usize> {
        let others = self
            .now
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(_, bytes)| bytes.len());
        Some(self.bytes_max?.saturating_sub(others.sum()))
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, name.to_owned())
}

impl Directory for MemoryDirectory {
    fn list(&self) -> io::Result<Vec<String>> {
        let files = self.0.lock();
        files.living()?;
        Ok(files.now.keys().cloned().collect())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let files = self.0.lock();
        files.living()?;
        let bytes = files.now.get(name).ok_or_else(|| not_found(name))?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start.saturating_add(length).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock();
        let was_dead = files.dead;
        if let Err(death) = files.live() {
            // What dies while it writes leaves a part.
            if !was_dead {
                let part = bytes[..bytes.len() / 2].to_vec();
                files.now.insert(name.to_owned(), part);
            }
            return Err(death);
        }
        let fits = files
            .room(name)
            .map_or(bytes.len(), |room| room.min(bytes.len()));
        files.now.insert(name.to_owned(), bytes[..fits].to_vec());
        files.writes += 1;
        files.bytes_written += u64::try_from(fits).unwrap_or(u64::MAX);
        if fits < bytes.len() {
            files.refused += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock();
        files.live()?;
        let bytes = files.now.remove(from).ok_or_else(|| not_found(from))?;
        files.now.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut files = self.0.lock();
        files.live()?;
        files
            .now
            .remove(name)
            .map(drop)
            .ok_or_else(|| not_found(name))
    }

    fn sync(&self) -> io::Result<()> {
        let mut files = self.0.lock();
        files.live()?;
        files.durable = files.now.clone();
        Ok(())
    }
}
