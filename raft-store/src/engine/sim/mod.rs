//! The simulated disk: keeps the port's promises and not one thing more.
//!
//! It lives in memory and belongs to a simulated machine, not to the process that runs there: the
//! handle ([`SimDisk`]) outlives a crash. [`SimDisk::crash`] forgets what was not synced, as far as
//! the port allows it to: of each database's unsynced batches a random number of the first ones
//! survives, of unsynced files any mixture of old and new blocks, of unsynced names a random number
//! of the first changes. What a crashed process still holds is dead afterwards, so that a task
//! that is dropped late cannot write to the next life's disk.
//!
//! Everything happens on the caller's thread and every random choice comes from the caller, so a
//! run is repeated exactly by repeating its seed.

mod database;
mod faults;
mod files;
mod mount;
mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;

use self::database::RowStore;
use self::faults::Faults;
use self::files::FileBody;
pub(crate) use self::mount::SimMount;
use self::names::{NameChange, Names, Node};
use super::{Operation, Statistics};
use crate::fault::{FaultKind, StorageFault};

/// The name under which a directory's database is kept.
const DATABASE: &str = "DATABASE";

/// A simulated machine's disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The machine loses power: what was not synced is lost or torn, and every handle that was
    /// given out before is dead. Faults that were armed are forgotten.
    pub fn crash(&self, rng: &mut impl Rng) {
        let world = &mut *self.world.lock();
        world.incarnation += 1;
        world.open.clear();
        world.faults = Faults::default();
        world.names.crash(rng);
        for body in world.files.values_mut() {
            body.crash(rng);
        }
        for rows in world.databases.values_mut() {
            rows.crash(rng);
        }
        world.collect();
    }

    /// The process dies and the machine goes on: nothing is lost, but every handle that was given
    /// out before is dead.
    pub fn kill(&self) {
        let world = &mut *self.world.lock();
        world.incarnation += 1;
        world.open.clear();
        world.collect();
    }

    /// The disk is lost, and an empty one takes its place. To be called while no process runs.
    pub fn replace(&self) {
        let world = &mut *self.world.lock();
        *world = World {
            incarnation: world.incarnation + 1,
            next_id: world.next_id,
            ..World::default()
        };
    }

    /// The `after`-th sync from now on fails, and whether its writes survive a crash is left open;
    /// 0 is the next one.
    pub fn fail_sync_after(&self, after: u64) {
        self.world.lock().faults.sync.arm(after);
    }

    /// The `after`-th write from now on fails; 0 is the next one.
    pub fn fail_write_after(&self, after: u64) {
        self.world.lock().faults.write.arm(after);
    }

    /// The `after`-th read from now on fails; 0 is the next one.
    pub fn fail_read_after(&self, after: u64) {
        self.world.lock().faults.read.arm(after);
    }

    /// From now on there is no room for any write, or there is again.
    pub fn set_full(&self, full: bool) {
        self.world.lock().faults.full = full;
    }

    /// Disarms all faults. A database that met one stays latched until it is opened again.
    pub fn clear_faults(&self) {
        self.world.lock().faults = Faults::default();
    }

    /// Cuts the last `count` rows off a database, synced or not, as a write-ahead log that was cut
    /// or deleted behind RocksDB's back would. Answers how many there were to cut.
    pub fn cut_rows(&self, database: impl AsRef<Path>, count: usize) -> usize {
        let world = &mut *self.world.lock();
        let path = database.as_ref().join(DATABASE);
        let Some(Node::Database(id)) = world.names.get(&path) else {
            return 0;
        };
        world
            .databases
            .get_mut(&id)
            .map_or(0, |rows| rows.cut(count))
    }

    /// Flips the bits of `mask` in one byte of a file, synced or not. Answers whether there is
    /// such a byte.
    pub fn flip(&self, file: impl AsRef<Path>, offset: usize, mask: u8) -> bool {
        let world = &mut *self.world.lock();
        let Some(Node::File(id)) = world.names.get(file.as_ref()) else {
            return false;
        };
        world
            .files
            .get_mut(&id)
            .is_some_and(|body| body.flip(offset, mask))
    }

    /// Writes and syncs since the disk was made.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.world.lock().statistics
    }

    /// What a process that starts now works with.
    pub(crate) fn mount(&self) -> SimMount {
        let incarnation = self.world.lock().incarnation;
        SimMount {
            life: Life {
                world: Arc::clone(&self.world),
                incarnation,
            },
        }
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let world = self.world.lock();
        formatter
            .debug_struct("SimDisk")
            .field("incarnation", &world.incarnation)
            .field("statistics", &world.statistics)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct World {
    /// How often there was a crash, or a process was killed.
    incarnation: u64,
    names: Names,
    files: BTreeMap<u64, FileBody>,
    databases: BTreeMap<u64, RowStore>,
    next_id: u64,
    /// The databases that are open in this life.
    open: BTreeSet<u64>,
    faults: Faults,
    statistics: Statistics,
}

impl World {
    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Forgets what has no name any more.
    fn collect(&mut self) {
        let named = self.names.reachable();
        self.files.retain(|id, _| named.contains(id));
        self.databases
            .retain(|id, _| named.contains(id) || self.open.contains(id));
    }

    fn file(&mut self, id: u64) -> &mut FileBody {
        self.files.entry(id).or_default()
    }

    fn rows(&mut self, id: u64) -> &mut RowStore {
        self.databases.entry(id).or_default()
    }

    fn writing(&mut self, operation: &'static str, path: &Path) -> Result<(), StorageFault> {
        self.statistics.writes += 1;
        self.faults.on_write(operation, path)
    }

    fn syncing(&mut self, path: &Path) -> Result<(), StorageFault> {
        self.statistics.syncs += 1;
        self.faults.on_sync(path)
    }
}

/// One life of the machine: everything goes through it and ends with it.
#[derive(Clone)]
struct Life {
    world: Arc<Mutex<World>>,
    incarnation: u64,
}

impl Life {
    fn with<T>(
        &self,
        operation: &'static str,
        path: &Path,
        work: impl FnOnce(&mut World) -> Result<T, StorageFault>,
    ) -> Result<T, StorageFault> {
        let mut world = self.world.lock();
        if world.incarnation != self.incarnation {
            return Err(StorageFault::new(
                FaultKind::Stopped,
                operation,
                path,
                "the machine crashed",
            ));
        }
        work(&mut world)
    }
}

fn missing(operation: &'static str, path: &Path) -> StorageFault {
    StorageFault::new(FaultKind::Missing, operation, path, "it is not there")
}

fn owned(path: &Path) -> PathBuf {
    path.to_owned()
}
