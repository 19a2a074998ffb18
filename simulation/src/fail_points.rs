//! Decides what happens at the product's fail points: which of them are active in a run, and with
//! which probability what happens there, is drawn from the seed.
//!
//! All hosts of a run share one thread, and each has a runtime of its own, by which it is told
//! whose code comes by a point. What dies at a point loses its disk at once, so that nothing that
//! it does in the rest of the tick lasts or is acknowledged; the process itself is ended by who
//! looks after processes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use edge::store::MemoryDirectory;
use injection::point::{Decide, Verdict, install};
use injection::{Mutant, Point, mutant};
use parking_lot::Mutex;
use platform::Clock;
use raft_store::SimDisk;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::runtime::{Handle, Id};

use crate::ports::SimClock;
use crate::workload::now_us;

/// How many points are active in a run that has any.
const ACTIVE_MAX: usize = 6;
/// How often one point ends a process in a run, so that the cluster gets something done as well.
const DEATHS_MAX: u64 = 4;
/// How often one point makes something fail in a run, which mostly ends a process, too.
const FAILURES_MAX: u64 = 3;
/// How often one point makes somebody wait in a run.
const WAITS_MAX: u64 = 60;

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process dies, and its disk loses what was not synced.
    Die,
    /// An input/output error.
    Fail,
    /// Up to so much time passes.
    Wait(Duration),
}

/// An active point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Which.
    pub point: Point,
    /// What happens there.
    pub action: Action,
    /// With which probability, in percent.
    pub percent: u32,
}

impl fmt::Display for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            point,
            action,
            percent,
        } = self;
        write!(f, "{point}: {action:?} in {percent} %")
    }
}

/// Draws which points are active in the run of `seed`: none in a half of all runs.
#[must_use]
pub fn draw(seed: u64) -> Vec<Active> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0fa1_1901);
    if rng.random() {
        return Vec::new();
    }
    let count = rng.random_range(1..=ACTIVE_MAX);
    let mut active: Vec<Active> = (0..count).map(|_| draw_one(&mut rng)).collect();
    active.sort_by_key(|active| active.point);
    active.dedup_by_key(|active| active.point);
    active
}

/// Draws for every point something that can happen there, for runs in which everything happens.
#[must_use]
pub fn draw_all(seed: u64) -> Vec<Active> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0fa1_1902);
    let all = Point::ALL.iter();
    all.map(|point| draw_at(*point, &mut rng)).collect()
}

fn draw_one(rng: &mut ChaCha8Rng) -> Active {
    let point = Point::ALL.choose(rng).copied();
    draw_at(point.unwrap_or(Point::BeforeWalFsync), rng)
}

fn draw_at(point: Point, rng: &mut ChaCha8Rng) -> Active {
    let can = point.can();
    let mut actions = vec![Action::Die];
    if can.fail {
        actions.push(Action::Fail);
    }
    if can.wait {
        actions.push(Action::Wait(Duration::from_millis(
            rng.random_range(5..=1_000),
        )));
    }
    Active {
        point,
        action: actions[rng.random_range(0..actions.len())],
        percent: rng.random_range(1..=25),
    }
}

/// A process that fail points strike, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A node's.
    Node(usize),
    /// An edge's.
    Edge(usize),
}

/// What a process runs on.
#[derive(Clone)]
pub struct Machine {
    /// Whose it is.
    pub host: Host,
    /// Its disk.
    pub disk: Disk,
    /// Its wall clock.
    pub clock: SimClock,
}

/// A simulated disk.
#[derive(Clone)]
pub enum Disk {
    /// A node's.
    Node(SimDisk),
    /// An edge's.
    Edge(MemoryDirectory),
}

impl Disk {
    fn crash(&self, rng: &mut impl Rng) {
        match self {
            Self::Node(disk) => {
                disk.crash(rng);
            }
            Self::Edge(directory) => directory.die(rng.next_u64()),
        }
    }
}

/// How often a point was come by, and how often something happened there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// How often it was come by.
    pub passed: u64,
    /// How often something happened.
    pub struck: u64,
}

/// The fail points of a run. Clones are the same ones.
#[derive(Clone)]
pub struct FailPoints {
    state: Arc<Mutex<State>>,
}

struct State {
    active: BTreeMap<Point, Active>,
    armed: bool,
    rng: ChaCha8Rng,
    /// The machines by the runtimes of their processes.
    machines: Vec<(Id, Machine)>,
    hits: BTreeMap<Point, Hits>,
    /// Processes that die when they come by a point the next time, once for each.
    due: BTreeSet<(Host, Point)>,
    /// When something was made to fail at a point, in simulated microseconds.
    failures: Vec<(u64, Point)>,
    /// Processes in which something was made to fail, which may end over it.
    failed: BTreeSet<Host>,
    /// Processes that are dead and have to be ended.
    dead: BTreeSet<Host>,
}

impl FailPoints {
    /// Decides from now on what happens on this thread. Until [`Self::arm`] nothing does.
    #[must_use]
    pub fn install(active: &[Active], seed: u64) -> Self {
        let state = State {
            active: active
                .iter()
                .map(|active| (active.point, *active))
                .collect(),
            armed: false,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x0fa1_1903),
            machines: Vec::new(),
            hits: BTreeMap::new(),
            due: BTreeSet::new(),
            failures: Vec::new(),
            failed: BTreeSet::new(),
            dead: BTreeSet::new(),
        };
        let this = Self {
            state: Arc::new(Mutex::new(state)),
        };
        install(Some(Rc::new(this.clone())));
        this
    }

    /// A process begins on the runtime that calls this.
    pub fn begin(&self, machine: Machine) {
        let runtime = Handle::current().id();
        let mut state = self.state.lock();
        let host = machine.host;
        state.failed.remove(&host);
        state.dead.remove(&host);
        state
            .machines
            .retain(|(other, machine)| *other != runtime && machine.host != host);
        state.machines.push((runtime, machine));
    }

    /// From now on things happen, or do not any more.
    pub fn arm(&self, armed: bool) {
        let state = &mut *self.state.lock();
        state.armed = armed;
        if !armed {
            state.due.clear();
        }
    }

    /// A process dies at each of these points, the first time that it comes by it.
    pub fn die_at(&self, host: Host, points: &[Point]) {
        let state = &mut *self.state.lock();
        if state.armed {
            state.due.extend(points.iter().map(|point| (host, *point)));
        }
    }

    /// Whether a process that says that it cannot go on is dead, or may end because something was
    /// made to fail in it. It then counts among the [dead](Self::dead).
    #[must_use]
    pub fn excuses(&self, host: Host) -> bool {
        let mut state = self.state.lock();
        let excused = state.failed.contains(&host);
        if excused {
            state.dead.insert(host);
        }
        excused || state.dead.contains(&host)
    }

    /// The machine under a process is to lose power before the next tick.
    pub fn doom(&self, host: Host) {
        self.state.lock().dead.insert(host);
    }

    /// The processes that have died since the last call.
    #[must_use]
    pub fn dead(&self) -> BTreeSet<Host> {
        std::mem::take(&mut self.state.lock().dead)
    }

    /// How often each point was come by.
    #[must_use]
    pub fn hits(&self) -> BTreeMap<Point, Hits> {
        self.state.lock().hits.clone()
    }

    /// When something was made to fail at a point, in simulated microseconds.
    #[must_use]
    pub fn failures(&self, point: Point) -> Vec<u64> {
        let state = self.state.lock();
        let at = state.failures.iter().filter(|(_, other)| *other == point);
        at.map(|(at_us, _)| *at_us).collect()
    }

    /// How often something happened, in all.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.state
            .lock()
            .hits
            .values()
            .map(|hits| hits.struck)
            .sum()
    }
}

impl State {
    /// Whose code is running; nobody's of the product, where it is a client's or the simulation's.
    fn running(&self) -> Option<&Machine> {
        let runtime = Handle::try_current().ok()?.id();
        let machine = self.machines.iter().find(|(other, _)| *other == runtime);
        machine.map(|(_, machine)| machine)
    }

    /// Whether something happens at `point`, and what.
    fn strikes(&mut self, point: Point) -> Option<Action> {
        let active = *self.active.get(&point).filter(|_| self.armed)?;
        let hits = self.hits.entry(point).or_default();
        let most = match active.action {
            Action::Die => DEATHS_MAX,
            Action::Fail => FAILURES_MAX,
            Action::Wait(_) => WAITS_MAX,
        };
        let chance = self.rng.random_range(0..100) < active.percent;
        if !chance || hits.struck >= most {
            return None;
        }
        hits.struck += 1;
        Some(active.action)
    }
}

impl FailPoints {
    /// The process that is running dies: it is seen off, and loses its disk then.
    fn die(&self) {
        let Some(Machine { host, disk, .. }) = self.state.lock().running().cloned() else {
            return;
        };
        if let Some(witness) = WITNESS.with_borrow(Clone::clone) {
            witness(host);
        }
        let state = &mut *self.state.lock();
        disk.crash(&mut state.rng);
        state.dead.insert(host);
    }

    fn judge(&self, point: Point) -> Verdict {
        let state = &mut *self.state.lock();
        let Some(machine) = state.running().cloned() else {
            return Verdict::Pass;
        };
        state.hits.entry(point).or_default().passed += 1;
        if state.due.remove(&(machine.host, point)) {
            state.hits.entry(point).or_default().struck += 1;
            return Verdict::Die;
        }
        match state.strikes(point) {
            None => Verdict::Pass,
            // What dies is seen off first, and has lost its disk then.
            Some(Action::Die) => Verdict::Die,
            Some(Action::Fail) => {
                state.failures.push((now_us(), point));
                if point.ends_the_process() {
                    state.failed.insert(machine.host);
                }
                Verdict::Fail
            }
            Some(Action::Wait(most)) => {
                let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
                let wait = Duration::from_millis(state.rng.random_range(1..=most.max(1)));
                Verdict::Wait(Box::pin(tokio::time::sleep(wait)))
            }
        }
    }
}

impl Decide for FailPoints {
    fn decide(&self, point: Point) -> Verdict {
        let verdict = self.judge(point);
        if matches!(verdict, Verdict::Die) {
            self.die();
        }
        verdict
    }
}

type Witness = Rc<dyn Fn(Host)>;

thread_local! {
    static WITNESS: RefCell<Option<Witness>> = const { RefCell::new(None) };
}

/// Has `witness` look at each process that dies at a fail point, while what it held can still be
/// seen: what it told others in its last tick it told with that.
pub fn see_off(witness: impl Fn(Host) + 'static) {
    WITNESS.set(Some(Rc::new(witness)));
}

thread_local! {
    static MUTATED: RefCell<Option<FailPoints>> = const { RefCell::new(None) };
}

/// Gives the product a bug for the rest of this thread, if one is wanted.
pub fn mutate(mutant: Option<Mutant>, fail_points: &FailPoints) {
    MUTATED.set(Some(fail_points.clone()));
    mutant::choose(mutant);
    mutant::set_local_clock(local_ms);
}

/// The wall clock of the process that is running.
fn local_ms() -> u64 {
    MUTATED.with_borrow(|fail_points| {
        let state = fail_points
            .as_ref()
            .map(|fail_points| fail_points.state.lock());
        let clock = state.and_then(|state| state.running().map(|machine| machine.clock.clone()));
        clock.map_or(0, |clock| clock.now().0)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_draws_the_same_points_again_and_some_seeds_none() {
        assert_eq!(draw(3), draw(3));
        let runs: Vec<_> = (0..100).map(draw).collect();
        let calm = runs.iter().filter(|run| run.is_empty()).count();
        assert!((30..70).contains(&calm), "{calm}");
    }

    #[test]
    fn every_point_is_active_in_some_runs_and_nothing_is_asked_of_one_that_it_cannot_do() {
        let drawn: Vec<Active> = (0..400).flat_map(draw).chain(draw_all(1)).collect();
        let points: BTreeSet<Point> = drawn.iter().map(|active| active.point).collect();
        assert_eq!(points.len(), Point::ALL.len());
        for Active {
            point,
            action,
            percent,
        } in drawn
        {
            assert!((1..=25).contains(&percent));
            match action {
                Action::Die => {}
                Action::Fail => assert!(point.can().fail, "{point}"),
                Action::Wait(_) => assert!(point.can().wait, "{point}"),
            }
        }
    }
}
