//! The simulated disk: keeps the port's promises and not one thing more.
//!
//! It lives in memory and belongs to a simulated machine, not to the process that runs there: the
//! handle ([`SimDisk`]) outlives a crash. What a crashed process still holds is dead afterwards, so
//! that a task that is dropped late cannot write to the next life's disk.
//!
//! # What it does to those who use it
//!
//! | fault | what happens | what is never done |
//! |---|---|---|
//! | [`crash`](SimDisk::crash) | of each database's unsynced batches the first few survive, a random number of them; of unsynced files each block, of 512 or 4096 bytes, is old or new, and so is the length; of unsynced names the first few changes survive | nothing that was synced is lost, no later batch survives an earlier one |
//! | [`kill`](SimDisk::kill) | nothing is lost: the machine goes on | |
//! | [`die_after`](SimDisk::die_after) | before the write or sync that is due every handle dies, as in a crash; what survives is up to the crash that has to follow | |
//! | [`fail_read_after`](SimDisk::fail_read_after), [`fail_write_after`](SimDisk::fail_write_after), [`fail_sync_after`](SimDisk::fail_sync_after) | one operation fails with an input/output error; a database refuses everything after it until it is opened again; what was to be synced may survive or not | a failed sync is never followed by one that succeeds without the data while the process lives |
//! | [`set_full`](SimDisk::set_full) | writes fail for want of room, reads and syncs do not | |
//! | [`set_sync_takes`](SimDisk::set_sync_takes) | whoever syncs the log waits that long first | reads and the other database are not slow |
//! | [`rot`](SimDisk::rot) | a bit flips in a file, or a row of a database loses its checksum: a log with such a row does not open, a state does not give it | two places rot at once; a rotten row reads as another value, which RocksDB's checksums rule out |
//! | [`alter_row`](SimDisk::alter_row) | a row of a database becomes another one and its checksum with it, as by a bug or broken memory | |
//! | [`cut_rows`](SimDisk::cut_rows) | the end of a database is gone without a trace, as of a write-ahead log that was cut | |
//!
//! Misdirected and lost writes on a disk that claims to have synced are not simulated: nothing
//! above promises to survive them on a single node.
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
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;

use self::database::RowStore;
pub use self::faults::FaultsStruck;
use self::faults::{Faults, rotten};
use self::files::FileBody;
pub(crate) use self::mount::SimMount;
use self::names::{NameChange, Names, Node, pick};
use super::{Operation, Statistics};
use crate::fault::{FaultKind, StorageFault};

/// What a disk writes as one, unless something else was set.
const BLOCK_BYTES: usize = 512;

/// The name under which a directory's database is kept.
const DATABASE: &str = "DATABASE";

/// What a crash took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Torn {
    /// Batches of databases that are gone.
    pub batches: usize,
    /// Files that were not synced, whatever is left of them.
    pub files: usize,
    /// Changes of names that are undone.
    pub names: usize,
}

impl Torn {
    /// Whether anything was lost.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

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
    /// given out before is dead. Faults that were armed are forgotten. Answers what was lost.
    pub fn crash(&self, rng: &mut impl Rng) -> Torn {
        let world = &mut *self.world.lock();
        world.end_life();
        world.faults = Faults::default();
        let mut torn = Torn {
            names: world.names.crash(rng),
            ..Torn::default()
        };
        for body in world.files.values_mut() {
            torn.files += usize::from(body.crash(rng, world.block_bytes));
        }
        for rows in world.databases.values_mut() {
            torn.batches += rows.crash(rng);
        }
        world.collect();
        torn
    }

    /// From now on blocks of so many bytes are written as one: 512 or 4096 on real disks.
    pub fn set_block_bytes(&self, block_bytes: usize) {
        self.world.lock().block_bytes = block_bytes.max(1);
    }

    /// The machine dies before the `after`-th write or sync from now on; 0 is the next one. Call
    /// [`crash`](Self::crash) once [`struck`](Self::struck) says that it did.
    pub fn die_after(&self, after: u64) {
        self.world.lock().faults.death.arm(after);
    }

    /// How often faults struck since the last crash.
    #[must_use]
    pub fn struck(&self) -> FaultsStruck {
        self.world.lock().faults.struck
    }

    /// From now on syncing the log takes so long.
    pub fn set_sync_takes(&self, takes: Duration) {
        self.world.lock().faults.sync_takes = takes;
    }

    /// One place rots: a bit of a file, or a row of a database. To be called while no process
    /// runs. Answers which, if there is anything.
    pub fn rot(&self, rng: &mut impl Rng) -> Option<PathBuf> {
        let world = &mut *self.world.lock();
        let places: Vec<_> = world
            .names
            .all()
            .filter(|(_, node)| *node != Node::Directory)
            .map(|(path, node)| (path.to_owned(), node))
            .collect();
        let (path, node) = places.get(pick(rng, places.len().checked_sub(1)?))?.clone();
        match node {
            Node::File(id) => {
                let body = world.file(id);
                let length = usize::try_from(body.len()).unwrap_or(usize::MAX);
                let offset = pick(rng, length.checked_sub(1)?);
                body.flip(offset, 1 << pick(rng, 7)).then_some(path)
            }
            Node::Database(id) => world.rows(id).rot(rng).map(|_| path),
            Node::Directory => None,
        }
    }

    /// The process dies and the machine goes on: nothing is lost, but every handle that was given
    /// out before is dead.
    pub fn kill(&self) {
        let world = &mut *self.world.lock();
        world.end_life();
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

    /// What [`SimDisk::usage`] tells from now on: bytes that are used, and bytes that are left.
    pub fn set_usage(&self, used_bytes: u64, available_bytes: u64) {
        self.world.lock().usage = Some((used_bytes, available_bytes));
    }

    /// How many bytes are said to be used, and to be left; `None` unless it was set. Nothing fails for it.
    #[must_use]
    pub fn usage(&self) -> Option<(u64, u64)> {
        self.world.lock().usage
    }

    /// Whether there is no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.world.lock().faults.full
    }

    /// Nothing that is armed strikes any more, there is room and syncs take no time. What struck
    /// is remembered.
    pub fn disarm(&self) {
        let faults = &mut self.world.lock().faults;
        *faults = Faults {
            struck: faults.struck,
            ..Faults::default()
        };
    }

    /// Disarms all faults and forgets what struck. A database that met one stays latched until it is opened again.
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

    /// The first row from `from` on of a database becomes another one, synced or not: the last bit of its value flips behind
    /// the backs of all who have it open. Answers whether there was such a row with a value.
    pub fn alter_row(&self, database: impl AsRef<Path>, from: &[u8]) -> bool {
        let world = &mut *self.world.lock();
        let path = database.as_ref().join(DATABASE);
        let Some(Node::Database(id)) = world.names.get(&path) else {
            return false;
        };
        let rows = world.databases.get_mut(&id);
        rows.is_some_and(|rows| rows.alter(from))
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

    /// How often a database was made of exported files: whenever a checkpoint is installed.
    #[must_use]
    pub fn adoptions(&self) -> u64 {
        self.world.lock().adoptions
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
    block_bytes: usize,
    statistics: Statistics,
    adoptions: u64,
    usage: Option<(u64, u64)>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            incarnation: 0,
            names: Names::default(),
            files: BTreeMap::new(),
            databases: BTreeMap::new(),
            next_id: 0,
            open: BTreeSet::new(),
            faults: Faults::default(),
            block_bytes: BLOCK_BYTES,
            statistics: Statistics::default(),
            adoptions: 0,
            usage: None,
        }
    }
}

impl World {
    fn end_life(&mut self) {
        self.incarnation += 1;
        self.open.clear();
    }

    /// Notes that rot was found.
    fn find_rot(&mut self, operation: &'static str, path: &Path) -> StorageFault {
        self.faults.struck.rot_found += 1;
        rotten(operation, path)
    }

    /// Whether the machine goes on past this operation.
    fn living(&mut self, operation: &'static str, path: &Path) -> Result<(), StorageFault> {
        if !self.faults.death.due() {
            return Ok(());
        }
        self.faults.struck.died = true;
        self.end_life();
        Err(dead(operation, path))
    }

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
        self.living(operation, path)?;
        self.statistics.writes += 1;
        self.faults.on_write(operation, path)
    }

    fn syncing(&mut self, path: &Path) -> Result<(), StorageFault> {
        self.living("sync", path)?;
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
            return Err(dead(operation, path));
        }
        work(&mut world)
    }
}

fn dead(operation: &'static str, path: &Path) -> StorageFault {
    StorageFault::new(FaultKind::Stopped, operation, path, "the machine crashed")
}

fn missing(operation: &'static str, path: &Path) -> StorageFault {
    StorageFault::new(FaultKind::Missing, operation, path, "it is not there")
}

fn owned(path: &Path) -> PathBuf {
    path.to_owned()
}
