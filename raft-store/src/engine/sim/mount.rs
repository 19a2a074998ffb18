//! The simulated disk as one life of a process sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::database::{RowStore, SimDatabase, read_export};
use super::files::SimFile;
use super::{DATABASE, Life, NameChange, Node, World, missing, owned};
use crate::engine::{Database, DatabaseKind, Disk, DiskFile};
use crate::fault::{FaultKind, StorageFault};

/// A mounted simulated disk; dead after a crash.
pub(crate) struct SimMount {
    pub(super) life: Life,
}

impl SimMount {
    fn change(
        &self,
        operation: &'static str,
        path: &Path,
        change: NameChange,
    ) -> Result<(), StorageFault> {
        self.life.with(operation, path, |world| {
            world.writing(operation, path)?;
            world.names.change(change);
            world.collect();
            Ok(())
        })
    }
}

fn parent_exists(world: &World, operation: &'static str, path: &Path) -> Result<(), StorageFault> {
    let parent = path.parent().unwrap_or_else(|| Path::new(""));
    match world.names.get(parent) {
        Some(Node::Directory) => Ok(()),
        _ => Err(missing(operation, parent)),
    }
}

/// The database in `directory`: the one that is there, one made from exported files, or a new one.
fn find_database(world: &mut World, directory: &Path, create: bool) -> Result<u64, StorageFault> {
    let path = directory.join(DATABASE);
    if let Some(Node::Database(id)) = world.names.get(&path) {
        return Ok(id);
    }
    let exported = read_export(world, directory)?;
    if exported.is_none() && !create {
        return Err(missing("open", &path));
    }
    if world.names.get(directory).is_none() {
        parent_exists(world, "open", directory)?;
        world
            .names
            .change(NameChange::Make(owned(directory), Node::Directory));
    }
    let id = world.fresh_id();
    world
        .databases
        .insert(id, RowStore::imported(exported.unwrap_or_default()));
    world.names.make_durable(path, Node::Database(id));
    Ok(id)
}

impl Disk for SimMount {
    fn locate(&self, path: &Path) -> PathBuf {
        Path::new("simulated disk").join(path)
    }

    fn inline(&self) -> bool {
        true
    }

    fn create_dir(&self, path: &Path) -> Result<(), StorageFault> {
        let there = self.life.with("create", path, |world| {
            parent_exists(world, "create", path)?;
            Ok(world.names.get(path) == Some(Node::Directory))
        })?;
        if there {
            Ok(())
        } else {
            self.change(
                "create",
                path,
                NameChange::Make(owned(path), Node::Directory),
            )
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, StorageFault> {
        self.life
            .with("list", path, |world| Ok(world.names.list(path)))
    }

    fn remove(&self, path: &Path) -> Result<(), StorageFault> {
        let there = self
            .life
            .with("remove", path, |world| Ok(world.names.get(path).is_some()))?;
        if there {
            self.change("remove", path, NameChange::Remove(owned(path)))
        } else {
            Ok(())
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageFault> {
        self.life.with("rename", from, |world| {
            parent_exists(world, "rename to", to)?;
            world.names.get(from).ok_or_else(|| missing("rename", from))
        })?;
        self.change("rename", from, NameChange::Rename(owned(from), owned(to)))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), StorageFault> {
        self.life.with("sync", path, |world| {
            world.syncing(path)?;
            world.names.sync(path);
            Ok(())
        })
    }

    fn open_file(&self, path: &Path, create: bool) -> Result<Box<dyn DiskFile>, StorageFault> {
        let id = self
            .life
            .with("open", path, |world| match world.names.get(path) {
                Some(Node::File(id)) => Ok(id),
                Some(_) => Err(StorageFault::corrupt("open", path, "it is a directory")),
                None if create => {
                    parent_exists(world, "open", path)?;
                    world.writing("create", path)?;
                    let id = world.fresh_id();
                    world
                        .names
                        .change(NameChange::Make(owned(path), Node::File(id)));
                    Ok(id)
                }
                None => Err(missing("open", path)),
            })?;
        Ok(Box::new(SimFile {
            life: self.life.clone(),
            path: owned(path),
            id,
        }))
    }

    fn open_database(
        &self,
        path: &Path,
        kind: DatabaseKind,
        create: bool,
    ) -> Result<Arc<dyn Database>, StorageFault> {
        let id = self.life.with("open", path, |world| {
            let id = find_database(world, path, create)?;
            // The log is read as a whole when it is opened; of the state, what is asked for.
            if kind == DatabaseKind::Log && world.rows(id).has_rot() {
                return Err(world.find_rot("open", path));
            }
            if !world.open.insert(id) {
                let kind = FaultKind::Io(std::io::ErrorKind::ResourceBusy);
                return Err(StorageFault::new(kind, "open", path, "it is open already"));
            }
            world.rows(id).opened();
            Ok(id)
        })?;
        Ok(Arc::new(SimDatabase {
            life: self.life.clone(),
            path: owned(path),
            id,
        }))
    }

    fn shares(&self, _: &str) -> bool {
        false
    }

    fn adopt(&self, from: &Path, into: &Path) -> Result<(), StorageFault> {
        self.life.with("adopt", from, |world| {
            parent_exists(world, "adopt into", into)?;
            if world.names.get(into).is_some() {
                return Err(StorageFault::corrupt(
                    "adopt into",
                    into,
                    "it is there already",
                ));
            }
            world.writing("adopt into", into)?;
            world
                .names
                .change(NameChange::Make(owned(into), Node::Directory));
            for name in world.names.list(from) {
                let Some(Node::File(source)) = world.names.get(&from.join(&name)) else {
                    continue;
                };
                let target = into.join(&name);
                world.writing("adopt into", &target)?;
                world.syncing(&target)?;
                let content = world.file(source).content().to_vec();
                let id = world.fresh_id();
                world.file(id).write(0, &content);
                world.file(id).sync();
                world.names.change(NameChange::Make(target, Node::File(id)));
            }
            world.names.sync(into);
            world.adoptions += 1;
            Ok(())
        })
    }
}
