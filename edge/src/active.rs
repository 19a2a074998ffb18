//! The configuration in use: replaced as a whole, read by every request without a lock.
//!
//! A serving thread keeps what it saw last and compares one number per request; it takes the lock
//! only when that number has moved. So requests share no reference count, and a request that
//! holds its configuration keeps it to its last byte, whatever is put into use meanwhile.
//!
//! Why no lock-free pointer: those we know were repaired for soundness several times within a
//! year, and a lock that is taken once per publish and thread costs nothing.

use std::cell::{Cell, RefCell};
use std::mem;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::certificates::Named;
use crate::configuration::Configuration;
use crate::retired::Retired;

/// Holds the configuration in use.
#[derive(Debug, Default)]
pub struct Active {
    /// How often it was replaced. It moves only while `current` is locked for writing.
    generation: AtomicU64,
    current: RwLock<Arc<Configuration>>,
    /// The certificates that its routes show.
    shown: watch::Sender<Arc<Named>>,
    retired: Retired,
}

impl Active {
    /// Puts a configuration into use.
    pub fn replace(&self, configuration: Arc<Configuration>) {
        let shown = configuration.certificates();
        let before = {
            let mut current = self.current.write();
            self.generation.fetch_add(1, Ordering::Release);
            mem::replace(&mut *current, configuration)
        };
        self.retired.add(before);
        self.shown.send_if_modified(|before| {
            let differs = **before != shown;
            if differs {
                *before = Arc::new(shown);
            }
            differs
        });
    }

    /// What was replaced.
    pub(crate) fn retired(&self) -> &Retired {
        &self.retired
    }

    /// The certificates that routes show, as that changes.
    #[must_use]
    pub fn shown(&self) -> watch::Receiver<Arc<Named>> {
        self.shown.subscribe()
    }

    /// The configuration in use.
    #[must_use]
    pub fn current(&self) -> Arc<Configuration> {
        Arc::clone(&self.current.read())
    }

    /// How often the configuration was replaced.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn numbered(&self) -> (u64, Arc<Configuration>) {
        let current = self.current.read();
        (
            self.generation.load(Ordering::Acquire),
            Arc::clone(&current),
        )
    }
}

/// One serving thread's view.
#[derive(Debug)]
pub struct Reader {
    active: Arc<Active>,
    seen: Cell<u64>,
    held: RefCell<Rc<Held>>,
}

/// A configuration that a thread holds. Its requests count their holds among themselves, so that
/// the count that all threads share stays where it is.
#[derive(Debug)]
pub struct Held {
    configuration: Arc<Configuration>,
    generation: u64,
}

impl Held {
    /// The how manyth configuration it is that was put into use: no two have the same number.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Deref for Held {
    type Target = Configuration;

    fn deref(&self) -> &Configuration {
        &self.configuration
    }
}

impl Reader {
    /// A view of `active`.
    #[must_use]
    pub fn new(active: Arc<Active>) -> Self {
        let (seen, configuration) = active.numbered();
        Self {
            active,
            seen: Cell::new(seen),
            held: RefCell::new(Rc::new(Held {
                configuration,
                generation: seen,
            })),
        }
    }

    /// The configuration in use, to be held for one request.
    #[must_use]
    pub fn current(&self) -> Rc<Held> {
        if self.active.generation() != self.seen.get() {
            let (seen, configuration) = self.active.numbered();
            self.seen.set(seen);
            self.held.replace(Rc::new(Held {
                configuration,
                generation: seen,
            }));
        }
        Rc::clone(&self.held.borrow())
    }
}

#[cfg(test)]
mod tests {
    use domain::model::{Epoch, ManifestVersion};
    use domain::tree::Hash;

    use edge_protocol::ManifestRef;

    use super::*;

    fn configuration(version: u64) -> Arc<Configuration> {
        let manifest = ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(version),
            root: Hash::EMPTY_TREE,
        };
        Arc::new(Configuration::new(manifest, Vec::new()).unwrap())
    }

    fn version(configuration: &Configuration) -> Option<u64> {
        configuration.manifest().map(|manifest| manifest.version.0)
    }

    #[test]
    fn a_reader_sees_what_was_put_into_use_and_holders_keep_what_they_hold() {
        let active = Arc::new(Active::default());
        let reader = Reader::new(Arc::clone(&active));
        assert_eq!(version(&reader.current()), None);
        active.replace(configuration(1));
        let held = reader.current();
        assert_eq!(version(&held), Some(1));
        active.replace(configuration(2));
        assert_eq!(version(&held), Some(1));
        assert_eq!(version(&reader.current()), Some(2));
        assert_eq!(active.generation(), 2);
    }

    #[test]
    fn unchanged_configurations_are_handed_out_without_touching_their_count() {
        let active = Arc::new(Active::default());
        active.replace(configuration(1));
        let reader = Reader::new(Arc::clone(&active));
        let before = Arc::strong_count(&active.current());
        let held: Vec<_> = (0..10).map(|_| reader.current()).collect();
        assert_eq!(Arc::strong_count(&active.current()), before);
        drop(held);
    }

    #[test]
    fn threads_never_see_a_configuration_older_than_one_they_saw() {
        let active = Arc::new(Active::default());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let reader = Reader::new(Arc::clone(&active));
                    let mut last = None;
                    while last < Some(500) {
                        let seen = version(&reader.current());
                        assert!(seen >= last);
                        last = seen;
                    }
                });
            }
            for number in 1..=500 {
                active.replace(configuration(number));
            }
        });
    }
}
