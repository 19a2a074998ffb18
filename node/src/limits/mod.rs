//! Rate limits that hold for the whole cluster: of each window one node keeps count, and the others
//! ask it. Nothing of this is replicated or survives a restart; no log entry is written for a request.
//!
//! ```text
//! request ─▶ lease ──────────────▶ passes or does not          no lock shared, no waiting
//!              │ holds nothing
//!              ▼
//!            order ─▶ keeper, here or at another node          the first fit member by rendezvous hash
//!              │         window: what was taken in a minute
//!              ▼
//!            outbox ─▶ the windows of those next in the order  so that losing a keeper loses no count
//! ```
//!
//! **A keeper is lost.** Whoever asked it goes on to the next in the order, which has noted what was
//! granted, but for notes that were under way. **A node comes back** with empty windows, or with old
//! ones because it was cut off or stood still: it says that it is fresh and is asked only if all
//! others are as well, until a minute has passed, while it takes notes. **A note does not arrive**: it
//! is sent again, with its age, for as long as it counts. **A node is cut off** from most others: it
//! lets through its share of each limit, the limit divided by the number of members, and no more than
//! it knows to be left, so that nothing is blocked and nothing is unbounded; it tells what it let
//! through when it is heard again.
//!
//! What a request is told stands in `rest`.

mod cluster;
mod desk;
mod id;
mod keeper;
mod lease;
mod metrics;
mod notes;
mod order;
mod outbox;
mod presence;
mod quota;
mod shards;
#[cfg(test)]
mod tests;
mod window;
mod wire;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use injection::{Mutant, mutant};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use crate::control_plane::{ControlPlane, LocalLimits, MemberId, PeerLimits};
use crate::settings::LimitSettings;

pub(crate) use id::WindowId;
pub(crate) use lease::Verdict;
pub use metrics::LimitMetrics;
pub(crate) use quota::Quota;

use cluster::Cluster;
use desk::Desk;
use keeper::{Keeper, Wish};
use lease::{Lease, Obtained, Step, Terms};
use order::{Choice, Fitness};
use outbox::Outbox;
use shards::Shards;
use window::{Taken, Window};
use wire::{Query, Reply};

/// How long a node has to answer: many round trips, and a stall of a busy machine.
const ASK_DEADLINE: Duration = Duration::from_millis(500);

/// How often a node looks whether it is in contact, also when nobody asks it for anything.
const LOOKS_APART: Duration = Duration::from_millis(500);

/// What the limits are put together from.
pub struct LimitParts {
    /// What a plan without numbers of its own allows.
    pub settings: LimitSettings,
    /// Who is a member, and whether this node is in contact.
    pub control: Arc<dyn ControlPlane>,
    /// Asks other nodes.
    pub peers: Arc<dyn PeerLimits>,
    /// A random number that names this process for the others.
    pub process: u64,
    /// What is counted.
    pub metrics: LimitMetrics,
}

impl fmt::Debug for LimitParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitParts").finish_non_exhaustive()
    }
}

/// The limits as one node enforces them. Cloning shares them.
#[derive(Clone)]
pub struct Limits {
    inner: Arc<Inner>,
}

struct Inner {
    settings: LimitSettings,
    control: Arc<dyn ControlPlane>,
    peers: Arc<dyn PeerLimits>,
    metrics: LimitMetrics,
    started: Instant,
    this: MemberId,
    keeper: Keeper,
    leases: Shards<Lease>,
    /// This node's share of each limit, for when it can ask nobody.
    shares: Shards<Window>,
    fitness: Mutex<Fitness>,
    cluster: RwLock<Arc<Cluster>>,
    outbox: Outbox,
    alone: AtomicBool,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    /// Limits of which nothing was used yet.
    #[must_use]
    pub fn new(parts: LimitParts) -> Self {
        let cluster = Arc::new(Cluster::look(&*parts.control, 0));
        let this = parts.control.this().id;
        let inner = Inner {
            settings: parts.settings,
            control: parts.control,
            peers: parts.peers,
            metrics: parts.metrics,
            started: Instant::now(),
            this,
            keeper: Keeper::new(),
            leases: Shards::new(),
            shares: Shards::new(),
            fitness: Mutex::default(),
            cluster: RwLock::new(cluster),
            outbox: Outbox::new(parts.process),
            alone: AtomicBool::new(false),
        };
        let inner = Arc::new(inner);
        tokio::spawn(look_around(Arc::downgrade(&inner)));
        Self { inner }
    }

    /// What answers other nodes. It does not keep the limits alive.
    #[must_use]
    pub fn desk(&self) -> Arc<dyn LocalLimits> {
        Arc::new(Desk::new(&self.inner))
    }

    pub(crate) fn settings(&self) -> &LimitSettings {
        &self.inner.settings
    }

    /// Whether one more request passes.
    pub(crate) async fn admit(&self, id: WindowId, limit: u32) -> Verdict {
        let verdict = self.judge(id, limit).await;
        let metrics = &self.inner.metrics;
        if verdict.admitted {
            metrics.admitted.inc();
        } else {
            metrics.limited.inc();
        }
        verdict
    }

    async fn judge(&self, id: WindowId, limit: u32) -> Verdict {
        let inner = &self.inner;
        let now_ms = inner.now_ms();
        let terms = Terms::new(limit, inner.cluster(now_ms).members.len());
        let new = || Lease::new(terms);
        let step = inner
            .leases
            .with(id, now_ms, new, |lease| lease.take(now_ms, terms));
        let wish = |amount| Wish { id, limit, amount };
        match step {
            Step::Decided(verdict, refill) => {
                if let Some(amount) = refill {
                    tokio::spawn(self.clone().refill(wish(amount), terms));
                }
                verdict
            }
            Step::Ask(refill) => {
                if let Some(amount) = refill {
                    tokio::spawn(self.clone().refill(wish(amount), terms));
                }
                let obtained = self.obtain(&wish(1)).await;
                let (then_ms, now_ms) = (now_ms, inner.now_ms());
                let hear = |lease: &mut Lease| lease.asked((then_ms, now_ms), terms, &obtained);
                inner.leases.with(id, now_ms, new, hear)
            }
        }
    }

    async fn refill(self, wish: Wish, terms: Terms) {
        let then_ms = self.inner.now_ms();
        let obtained = self.obtain(&wish).await;
        let now_ms = self.inner.now_ms();
        let hear = |lease: &mut Lease| lease.refilled((then_ms, now_ms), terms, &obtained);
        self.inner
            .leases
            .with(wish.id, now_ms, || Lease::new(terms), hear);
    }

    /// Takes from the window, at whoever keeps it.
    async fn obtain(&self, wish: &Wish) -> Obtained {
        let inner = &self.inner;
        let cluster = inner.cluster(inner.now_ms());
        let mut order = order::order(&cluster.members, wish.id);
        if mutant::active(Mutant::LimitPerNode) {
            order = vec![inner.this];
        }
        // Each member is asked once, and once more with insistence.
        for _ in 0..=2 * order.len() {
            let Some(choice) = inner.choose(&cluster, &order) else {
                break;
            };
            if let Some(taken) = self.ask(choice, wish).await {
                inner.alone.store(false, Ordering::Relaxed);
                self.tell(&order, choice.member, wish.id, taken.granted);
                let alone = false;
                return Obtained { taken, alone };
            }
        }
        let taken = inner.spend_share(wish, cluster.members.len());
        self.tell(&order, inner.this, wish.id, taken.granted);
        let alone = true;
        Obtained { taken, alone }
    }

    /// What a member gives; `None` if somebody else is to be asked.
    async fn ask(&self, choice: Choice, wish: &Wish) -> Option<Taken> {
        let inner = &self.inner;
        let reply = if choice.member == inner.this {
            Some(inner.keeper.ask(inner.now_ms(), wish, choice.insist))
        } else {
            inner.metrics.asked.inc();
            let query = Query::Take {
                id: wish.id,
                limit: wish.limit,
                amount: wish.amount,
                insist: choice.insist,
            };
            self.send(choice.member, &query).await
        };
        let now_ms = inner.now_ms();
        match reply {
            Some(Reply::Taken(taken)) => return Some(taken),
            Some(Reply::Fresh { for_ms }) => {
                inner.fitness.lock().fresh(now_ms, choice.member, for_ms);
            }
            Some(Reply::CutOff) => inner.fitness.lock().cut_off(now_ms, choice.member),
            Some(Reply::Noted) | None => {
                inner.fitness.lock().silent(now_ms, choice.member);
            }
        }
        None
    }

    async fn send(&self, member: MemberId, query: &Query) -> Option<Reply> {
        let asking = self.inner.peers.ask_limits(member, wire::encode(query));
        match tokio::time::timeout(ASK_DEADLINE, asking).await {
            Ok(Ok(bytes)) => wire::decode(&bytes),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a node was not reached about limits");
                None
            }
            Err(_) => None,
        }
    }
}

impl Inner {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The cluster, looked at again if that was some time ago, or nobody was there.
    fn cluster(&self, now_ms: u64) -> Arc<Cluster> {
        let known = Arc::clone(&self.cluster.read());
        if known.is_recent(now_ms) {
            return known;
        }
        self.look(now_ms)
    }

    fn look(&self, now_ms: u64) -> Arc<Cluster> {
        let seen = Arc::new(Cluster::look(&*self.control, now_ms));
        self.keeper.saw(now_ms, seen.includes(self.this));
        self.fitness.lock().keep(&seen.members);
        self.outbox.keep(&seen.members);
        *self.cluster.write() = Arc::clone(&seen);
        seen
    }

    /// Whom to ask. A node that is cut off does not take itself for the one that keeps count, since
    /// the others may have chosen another one; but it asks those that it still reaches.
    fn choose(&self, cluster: &Cluster, order: &[MemberId]) -> Option<Choice> {
        let now_ms = self.now_ms();
        let mut fitness = self.fitness.lock();
        match self.keeper.fresh_for_ms(now_ms) {
            0 => {}
            for_ms => fitness.fresh(now_ms, self.this, for_ms),
        }
        if cluster.in_contact {
            fitness.answered(self.this);
        } else {
            fitness.cut_off(now_ms, self.this);
        }
        fitness.choose(now_ms, order)
    }

    /// Takes from this node's own share of the limit what the node knows to be left of the whole.
    fn spend_share(&self, wish: &Wish, nodes: usize) -> Taken {
        self.metrics.alone.inc();
        if !self.alone.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "no node can be asked about limits; this one grants its own share of them"
            );
        }
        let now_ms = self.now_ms();
        let ask = |amount| self.keeper.take(now_ms, &Wish { amount, ..*wish });
        let known = ask(0);
        let share = (wish.limit / u32::try_from(nodes).unwrap_or(u32::MAX).max(1)).max(1);
        let wanted = wish.amount.min(known.remaining);
        let take = |window: &mut Window| window.take(now_ms, share, wanted);
        let of_share = self.shares.with(wish.id, now_ms, Window::new, take);
        let taken = ask(of_share.granted);
        Taken {
            granted: taken.granted,
            remaining: taken.remaining.min(of_share.remaining),
            reset_in_ms: taken.reset_in_ms,
            retry_in_ms: taken.retry_in_ms.max(of_share.retry_in_ms),
        }
    }
}

/// Keeps looking, so that a node notices its own absence also while nobody asks it for anything.
async fn look_around(limits: Weak<Inner>) {
    loop {
        tokio::time::sleep(LOOKS_APART).await;
        let Some(inner) = limits.upgrade() else {
            return;
        };
        inner.look(inner.now_ms());
    }
}
