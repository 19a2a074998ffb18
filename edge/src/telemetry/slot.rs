//! Where a thread counts: one slot for each rule that took a request, with a cell for each target.
//!
//! A request finds its slot by three numbers: which configuration it is served by, and where its
//! route and rule stand in memory. A place in memory means one thing for as long as its
//! configuration lives, and configurations are numbered, so the numbers never mean another rule
//! later. Names are written out once for each slot, not for each request.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;

use domain::id::{RouteId, RuleId, SnapshotId};
use domain::model::SnapshotVersion;
use edge_protocol::telemetry::{Counts, SeriesKey, Taker, TargetKey};
use rustc_hash::FxHashMap;

use crate::active::Held;
use crate::configuration::Served;
use crate::route::Target;

/// Slots that a thread has, each some 1 KiB: the rules that take requests within a second. The
/// rules beyond are counted together, route by route.
pub(super) const SLOTS_MAX: usize = 1024;

/// Routes whose rules beyond the bound are counted apart.
const SLOTS_OF_ROUTES_MAX: usize = 256;

/// Cells of a slot: one without a target and those of as many targets as a rule rarely has. Beyond,
/// requests are counted without their target.
const CELLS_MAX: usize = 64;

/// The cell of requests that were sent nowhere.
pub(super) const NOWHERE: usize = 0;

/// Which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    generation: u64,
    route: usize,
    /// 0 for the route's own upstreams, 1 for all rules beyond the bound.
    rule: usize,
}

const DEFAULTS: usize = 0;
const OTHERS: usize = 1;

/// Whom a slot counts.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) route: RouteId,
    pub(crate) snapshot: SnapshotId,
    pub(crate) version: SnapshotVersion,
    pub(crate) rule: Option<RuleId>,
}

/// A slot.
#[derive(Debug)]
pub(crate) struct Slot {
    /// None for requests to nobody's host, and for what is beyond all bounds.
    pub(crate) labels: Option<Labels>,
    taker: Taker,
    generation: u64,
    /// The first is [`NOWHERE`].
    cells: RefCell<Vec<TargetCell>>,
    /// Whether it is in the list of those that counted something since the last drain.
    touched: Cell<bool>,
}

#[derive(Debug, Default)]
struct TargetCell {
    /// Where the target stands in memory; 0 for none.
    address: usize,
    target: Option<TargetKey>,
    counts: Counts,
}

/// A thread's slots.
#[derive(Debug)]
pub(super) struct Slots {
    by_key: RefCell<FxHashMap<Key, Rc<Slot>>>,
    touched: RefCell<Vec<Rc<Slot>>>,
    /// For requests to nobody's host.
    nobody: Rc<Slot>,
    /// For what is beyond all bounds.
    beyond: Rc<Slot>,
    /// Of the newest configuration that was seen.
    newest: Cell<u64>,
}

impl Slot {
    fn new(labels: Option<Labels>, taker: Taker, generation: u64) -> Rc<Self> {
        Rc::new(Self {
            labels,
            taker,
            generation,
            cells: RefCell::new(vec![TargetCell::default()]),
            touched: Cell::new(false),
        })
    }

    /// The place of a target's cell.
    pub(super) fn cell(&self, target: &Target) -> usize {
        self.cell_at(ptr::from_ref(target).addr(), || TargetKey {
            upstream: target.upstream.clone(),
            target: target.id.clone(),
        })
    }

    fn cell_at(&self, address: usize, key: impl FnOnce() -> TargetKey) -> usize {
        let mut cells = self.cells.borrow_mut();
        if let Some(known) = cells.iter().position(|cell| cell.address == address) {
            return known;
        }
        if cells.len() == CELLS_MAX {
            return NOWHERE;
        }
        cells.push(TargetCell {
            address,
            target: Some(key()),
            counts: Counts::default(),
        });
        cells.len() - 1
    }

    /// The target of a cell.
    pub(super) fn target(&self, cell: usize) -> Option<TargetKey> {
        self.cells
            .borrow()
            .get(cell)
            .and_then(|cell| cell.target.clone())
    }

    fn count(&self, cell: usize, change: impl FnOnce(&mut Counts)) {
        if let Some(cell) = self.cells.borrow_mut().get_mut(cell) {
            change(&mut cell.counts);
        }
    }

    fn drain(&self, visit: &mut impl FnMut(SeriesKey, &Counts)) {
        for cell in self.cells.borrow_mut().iter_mut() {
            if !cell.counts.is_empty() {
                visit(self.series(cell.target.clone()), &cell.counts);
                cell.counts.clear();
            }
        }
    }

    fn series(&self, target: Option<TargetKey>) -> SeriesKey {
        SeriesKey {
            route: self.labels.as_ref().map(|labels| labels.route.clone()),
            taker: self.taker.clone(),
            target,
        }
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            by_key: RefCell::default(),
            touched: RefCell::default(),
            nobody: Slot::new(None, Taker::Defaults, 0),
            beyond: Slot::new(None, Taker::Others, 0),
            newest: Cell::new(0),
        }
    }
}

impl Slots {
    /// The slot of a rule, or of a route's own upstreams.
    pub(super) fn of(&self, held: &Held, served: &Served, rule: Option<&RuleId>) -> Rc<Slot> {
        let key = Key {
            generation: held.generation(),
            route: ptr::from_ref(&*served.route).addr(),
            rule: rule.map_or(DEFAULTS, |rule| ptr::from_ref(rule).addr()),
        };
        if let Some(slot) = self.by_key.borrow().get(&key) {
            return Rc::clone(slot);
        }
        self.newest.set(self.newest.get().max(key.generation));
        self.add(key, served, rule)
    }

    /// The slot of requests to nobody's host.
    pub(super) fn nobody(&self) -> Rc<Slot> {
        Rc::clone(&self.nobody)
    }

    /// Counts something.
    pub(super) fn count(&self, slot: &Rc<Slot>, cell: usize, change: impl FnOnce(&mut Counts)) {
        slot.count(cell, change);
        if !slot.touched.replace(true) {
            self.touched.borrow_mut().push(Rc::clone(slot));
        }
    }

    /// Gives everything that was counted since the last time to `visit`, and starts again at 0.
    /// Slots of configurations that are no longer used go; where there are many, also those that
    /// counted nothing.
    pub(super) fn drain(&self, visit: &mut impl FnMut(SeriesKey, &Counts)) {
        let mut touched = self.touched.borrow_mut();
        for slot in touched.drain(..) {
            slot.drain(visit);
            slot.touched.set(false);
        }
        let mut by_key = self.by_key.borrow_mut();
        let crowded = by_key.len() > SLOTS_MAX / 2;
        let newest = self.newest.get();
        // A request under way holds its slot and counts there at its end.
        by_key.retain(|_, slot| {
            Rc::strong_count(slot) > 1 || (slot.generation == newest && !crowded)
        });
    }

    fn add(&self, key: Key, served: &Served, rule: Option<&RuleId>) -> Rc<Slot> {
        let mut by_key = self.by_key.borrow_mut();
        let labels = |rule: Option<&RuleId>| Labels {
            route: served.entry.route_id.clone(),
            snapshot: served.entry.snapshot_id.clone(),
            version: served.entry.version,
            rule: rule.cloned(),
        };
        if by_key.len() < SLOTS_MAX {
            let taker = rule.map_or(Taker::Defaults, |rule| Taker::Rule(rule.clone()));
            let slot = Slot::new(Some(labels(rule)), taker, key.generation);
            by_key.insert(key, Rc::clone(&slot));
            return slot;
        }
        let key = Key {
            rule: OTHERS,
            ..key
        };
        if let Some(slot) = by_key.get(&key) {
            return Rc::clone(slot);
        }
        if by_key.len() >= SLOTS_MAX + SLOTS_OF_ROUTES_MAX {
            return Rc::clone(&self.beyond);
        }
        let slot = Slot::new(Some(labels(None)), Taker::Others, key.generation);
        by_key.insert(key, Rc::clone(&slot));
        slot
    }
}

#[cfg(test)]
mod tests;
