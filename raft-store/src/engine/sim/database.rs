//! Simulated databases: an ordered map, the same map as it was last synced, and the batches in
//! between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::names::pick;
use super::{Life, NameChange, Node, Operation, missing, owned};
use crate::engine::{Batch, Database, DatabaseView, Direction, Statistics, Visitor};
use crate::fault::{FaultKind, StorageFault};

/// Rows in one exported file at least: few, so that small databases export to several.
const ROWS_PER_FILE: usize = 16;

/// How many files a database exports to at most, so that large ones do not take long.
const FILES_MAX: usize = 32;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The rows of one database.
#[derive(Default)]
pub(super) struct RowStore {
    current: Arc<Rows>,
    durable: Rows,
    unsynced: Vec<Batch>,
    /// Set by a failed write or sync: RocksDB refuses everything after one until it is opened
    /// again, and so does this.
    latched: bool,
    /// Keys whose rows rotted: nothing can be read there until they are written again.
    rotten: BTreeSet<Vec<u8>>,
    writes: u64,
    syncs: u64,
}

impl RowStore {
    pub(super) fn imported(rows: Rows) -> Self {
        Self {
            current: Arc::new(rows.clone()),
            durable: rows,
            ..Self::default()
        }
    }

    pub(super) fn opened(&mut self) {
        self.latched = false;
        (self.writes, self.syncs) = (0, 0);
    }

    /// Keeps a random number of the first unsynced batches. Answers how many were lost: with a
    /// torn record, RocksDB drops everything from there on.
    pub(super) fn crash(&mut self, rng: &mut impl Rng) -> usize {
        let unsynced = self.unsynced.len();
        let kept = pick(rng, self.unsynced.len());
        for batch in self.unsynced.drain(..).take(kept) {
            apply(&mut self.durable, &batch);
        }
        if unsynced > 0 {
            self.current = Arc::new(self.durable.clone());
        }
        self.latched = false;
        unsynced - kept
    }

    /// One of the rows rots. Answers its key, if there is a row.
    pub(super) fn rot(&mut self, rng: &mut impl Rng) -> Option<Vec<u8>> {
        let place = pick(rng, self.durable.len().checked_sub(1)?);
        let key = self.durable.keys().nth(place)?.clone();
        self.rotten.insert(key.clone());
        Some(key)
    }

    pub(super) fn has_rot(&self) -> bool {
        !self.rotten.is_empty()
    }

    fn is_rotten(&self, key: &[u8]) -> bool {
        self.has_rot() && self.rotten.contains(key)
    }

    fn has_rot_between(&self, from: &[u8], until: &[u8]) -> bool {
        let inside = (Bound::Included(from), Bound::Excluded(until));
        self.has_rot() && self.rotten.range::<[u8], _>(inside).next().is_some()
    }

    /// Flips a bit at the end of the first value from `from` on.
    pub(super) fn alter(&mut self, from: &[u8]) -> bool {
        let from = (Bound::Included(from), Bound::Unbounded);
        let current = Arc::make_mut(&mut self.current);
        let mut rows = current.range_mut::<[u8], _>(from);
        let Some((key, value)) = rows.find(|(_, value)| !value.is_empty()) else {
            return false;
        };
        let last = value.len() - 1;
        value[last] ^= 1;
        if let Some(durable) = self.durable.get_mut(key) {
            durable.clone_from(value);
        }
        true
    }

    pub(super) fn cut(&mut self, count: usize) -> usize {
        let last: Vec<_> = self.current.keys().rev().take(count).cloned().collect();
        let current = Arc::make_mut(&mut self.current);
        for key in &last {
            current.remove(key);
            self.durable.remove(key);
        }
        self.unsynced.clear();
        self.durable.clone_from(current);
        last.len()
    }

    fn write(&mut self, batch: Batch) {
        if self.has_rot() {
            for operation in &batch.operations {
                match operation {
                    Operation::Put(key, _) | Operation::Delete(key) => {
                        self.rotten.remove(key);
                    }
                    Operation::DeleteRange(from, until) => {
                        self.rotten.retain(|key| key < from || key >= until);
                    }
                }
            }
        }
        apply(Arc::make_mut(&mut self.current), &batch);
        self.unsynced.push(batch);
    }

    fn sync(&mut self) {
        for batch in self.unsynced.drain(..) {
            apply(&mut self.durable, &batch);
        }
    }
}

fn apply(rows: &mut Rows, batch: &Batch) {
    for operation in &batch.operations {
        match operation {
            Operation::Put(key, value) => {
                rows.insert(key.clone(), value.clone());
            }
            Operation::Delete(key) => {
                rows.remove(key);
            }
            Operation::DeleteRange(from, until) if from < until => {
                let inside = (
                    Bound::Included(from.clone()),
                    Bound::Excluded(until.clone()),
                );
                let doomed: Vec<_> = rows.range(inside).map(|(key, _)| key.clone()).collect();
                for key in doomed {
                    rows.remove(&key);
                }
            }
            Operation::DeleteRange(..) => {}
        }
    }
}

/// An open database.
pub(super) struct SimDatabase {
    pub(super) life: Life,
    pub(super) path: PathBuf,
    pub(super) id: u64,
}

impl SimDatabase {
    /// Refuses if latched, and latches if `check` finds a fault.
    fn guarded<T>(
        &self,
        operation: &'static str,
        check: impl FnOnce(&mut super::World) -> Result<(), StorageFault>,
        work: impl FnOnce(&mut RowStore) -> T,
    ) -> Result<T, StorageFault> {
        self.life.with(operation, &self.path, |world| {
            if world.rows(self.id).latched {
                let reason = "the database refuses everything after a fault";
                return Err(StorageFault::new(
                    FaultKind::Stopped,
                    operation,
                    &self.path,
                    reason,
                ));
            }
            check(world).inspect_err(|_| world.rows(self.id).latched = true)?;
            Ok(work(world.rows(self.id)))
        })
    }
}

impl Database for SimDatabase {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        let check = |world: &mut super::World| world.writing("write to", &self.path);
        self.guarded("write to", check, |rows| {
            rows.writes += 1;
            rows.write(batch);
        })
    }

    fn sync(&self) -> Result<(), StorageFault> {
        let check = |world: &mut super::World| world.syncing(&self.path);
        self.guarded("sync", check, |rows| {
            rows.syncs += 1;
            rows.sync();
        })
    }

    fn view(&self) -> Box<dyn DatabaseView + '_> {
        let rows = self.life.with("read", &self.path, |world| {
            Ok(Arc::clone(&world.rows(self.id).current))
        });
        Box::new(SimView { owner: self, rows })
    }

    fn prepare_export(&self) -> Result<(), StorageFault> {
        Ok(())
    }

    fn export(&self, into: &Path) -> Result<(), StorageFault> {
        self.sync()?;
        self.life.with("export", &self.path, |world| {
            if world.names.get(into).is_some() {
                return Err(StorageFault::corrupt(
                    "export to",
                    into,
                    "it is there already",
                ));
            }
            world
                .names
                .change(NameChange::Make(owned(into), Node::Directory));
            if world.rows(self.id).has_rot() {
                return Err(world.find_rot("export from", &self.path));
            }
            let rows: Vec<_> = world
                .rows(self.id)
                .current
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            // An empty database exports to one empty file, so that it can be told from none.
            let rows_per_file = rows.len().div_ceil(FILES_MAX).max(ROWS_PER_FILE);
            let pages = rows.chunks(rows_per_file).collect::<Vec<_>>();
            let pages = if pages.is_empty() {
                vec![&[][..]]
            } else {
                pages
            };
            for (number, page) in pages.into_iter().enumerate() {
                let path = into.join(format!("{number:06}.rows"));
                world.writing("export to", &path)?;
                world.syncing(&path)?;
                let id = world.fresh_id();
                world.file(id).write(0, &crate::codec::encode(&page));
                world.file(id).sync();
                world.names.change(NameChange::Make(path, Node::File(id)));
            }
            world.names.sync(into);
            Ok(())
        })
    }

    fn sync_takes(&self) -> Duration {
        let asked = self
            .life
            .with("sync", &self.path, |world| Ok(world.faults.sync_takes));
        asked.unwrap_or_default()
    }

    fn statistics(&self) -> Statistics {
        let counted = self.life.with("count", &self.path, |world| {
            let rows = world.rows(self.id);
            Ok(Statistics {
                writes: rows.writes,
                syncs: rows.syncs,
            })
        });
        counted.unwrap_or_default()
    }
}

impl Drop for SimDatabase {
    fn drop(&mut self) {
        // A dead handle has nothing to close.
        let _ = self.life.with("close", &self.path, |world| {
            world.open.remove(&self.id);
            world.collect();
            Ok(())
        });
    }
}

/// The rows that were exported to `directory`, if any were.
pub(super) fn read_export(
    world: &mut super::World,
    directory: &Path,
) -> Result<Option<Rows>, StorageFault> {
    let mut rows: Option<Rows> = None;
    for name in world.names.list(directory) {
        let path = directory.join(&name);
        if path.extension().is_none_or(|extension| extension != "rows") {
            continue;
        }
        let Some(Node::File(id)) = world.names.get(&path) else {
            return Err(missing("open", &path));
        };
        let page: Vec<(Vec<u8>, Vec<u8>)> = crate::codec::decode(world.file(id).content())
            .map_err(|error| StorageFault::corrupt("open", &path, error))?;
        rows.get_or_insert_default().extend(page);
    }
    Ok(rows)
}

struct SimView<'a> {
    owner: &'a SimDatabase,
    rows: Result<Arc<Rows>, StorageFault>,
}

impl SimView<'_> {
    fn rows(&self) -> Result<&Rows, StorageFault> {
        let path = &self.owner.path;
        self.owner
            .life
            .with("read", path, |world| world.faults.on_read(path))?;
        match &self.rows {
            Ok(rows) => Ok(rows),
            Err(fault) => Err(fault.clone()),
        }
    }

    fn refuse_rot(&self, found: impl FnOnce(&RowStore) -> bool) -> Result<(), StorageFault> {
        let path = &self.owner.path;
        self.owner.life.with("read", path, |world| {
            if found(world.rows(self.owner.id)) {
                return Err(world.find_rot("read", path));
            }
            Ok(())
        })
    }
}

impl DatabaseView for SimView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        let rows = self.rows()?;
        self.refuse_rot(|rows| rows.is_rotten(key))?;
        Ok(rows.get(key).cloned())
    }

    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        direction: Direction,
        visitor: Visitor<'_>,
    ) -> Result<(), StorageFault> {
        let rows = self.rows()?;
        if from >= until {
            return Ok(());
        }
        self.refuse_rot(|rows| rows.has_rot_between(from, until))?;
        let inside = rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(until)));
        let walk: Box<dyn Iterator<Item = _>> = match direction {
            Direction::Ascending => Box::new(inside),
            Direction::Descending => Box::new(inside.rev()),
        };
        for (key, value) in walk {
            if visitor(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
