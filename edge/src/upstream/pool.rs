//! Connections of one serving thread, by the address that they lead to and what is spoken on them.
//! They outlive configurations: what is published changes who is connected to, not how.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::{Instant, timeout};

use super::http1::Link;
use super::http2::Connections;
use crate::health::TargetHealth;
use crate::turn;

/// How many idle connections a thread keeps for one address. A thread that has more requests than
/// this under way at once opens connections anew when the next burst comes.
const IDLE_PER_ADDRESS_MAX: usize = 256;

/// How long a connection may take to send the rest of a request whose response has ended; it is
/// given up otherwise.
const SETTLE: Duration = Duration::from_secs(1);

/// Connections, by address and what is spoken.
#[derive(Debug)]
pub(super) struct Pool {
    idle_limit: Duration,
    buckets: RefCell<FxHashMap<Box<str>, Rc<Bucket>>>,
}

/// Connections to one address.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Those of HTTP/1.1 that are idle, the most recently used last.
    idle: RefCell<Vec<Idle>>,
    /// Those of HTTP/2.
    pub(super) http2: Connections,
    /// The targets that have this address, mostly one.
    gauges: RefCell<Vec<Gauge>>,
    used: Cell<Instant>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: Instant,
}

/// A target's health in the hands of one thread, whose requests count their holds among
/// themselves: a count that all threads share would travel between cores for every request.
#[derive(Clone, Debug)]
#[allow(
    clippy::redundant_allocation,
    reason = "the outer count is the thread's, the inner one everybody's"
)]
pub(super) struct Gauge(Rc<Arc<TargetHealth>>);

impl AsRef<TargetHealth> for Gauge {
    fn as_ref(&self) -> &TargetHealth {
        &self.0
    }
}

impl Pool {
    /// A pool that keeps a connection no longer than `idle_limit`.
    pub(super) fn new(idle_limit: Duration) -> Self {
        Self {
            idle_limit,
            buckets: RefCell::default(),
        }
    }

    /// The connections to an address, by a target's [`pool_key`](crate::route::Target::pool_key).
    pub(super) fn bucket(&self, key: &str) -> Rc<Bucket> {
        let mut buckets = self.buckets.borrow_mut();
        if let Some(bucket) = buckets.get(key) {
            return Rc::clone(bucket);
        }
        let bucket = Rc::new(Bucket {
            idle: RefCell::default(),
            http2: Connections::default(),
            gauges: RefCell::default(),
            used: Cell::new(turn::now()),
        });
        buckets.insert(key.into(), Rc::clone(&bucket));
        bucket
    }

    /// Drops connections that are closed, lead elsewhere or were idle for too long, and addresses
    /// without any.
    pub(super) fn sweep(&self) {
        let Some(oldest) = Instant::now().checked_sub(self.idle_limit) else {
            return;
        };
        self.buckets.borrow_mut().retain(|_, bucket| {
            bucket
                .idle
                .borrow_mut()
                .retain_mut(|idle| idle.since > oldest && is_good(&mut idle.link));
            bucket.gauges.borrow_mut().retain(Gauge::is_needed);
            let has_http2 = bucket.http2.sweep(oldest);
            has_http2 || !bucket.idle.borrow().is_empty() || bucket.used.get() > oldest
        });
    }
}

impl Gauge {
    /// Whether a configuration or a request still has to do with the target.
    fn is_needed(&self) -> bool {
        Rc::strong_count(&self.0) > 1 || Arc::strong_count(&self.0) > 1
    }
}

impl Bucket {
    /// The health of a target that has this address.
    pub(super) fn gauge(&self, health: &Arc<TargetHealth>) -> Gauge {
        self.used.set(turn::now());
        let mut gauges = self.gauges.borrow_mut();
        let known = gauges.iter().find(|gauge| Arc::ptr_eq(&gauge.0, health));
        if let Some(gauge) = known {
            return gauge.clone();
        }
        let gauge = Gauge(Rc::new(Arc::clone(health)));
        gauges.push(gauge.clone());
        gauge
    }

    /// A connection that is open, as far as the thread has heard, and leads to its target still. What
    /// closes meanwhile is found out by using it.
    pub(super) fn take(&self, idle_limit: Duration) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        let now = turn::now();
        while let Some(Idle { mut link, since }) = idle.pop() {
            if now.duration_since(since) < idle_limit && is_good(&mut link) {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection whose response has ended, as soon as it can have another exchange.
    pub(super) fn give(self: Rc<Self>, mut link: Box<Link>) {
        if !link.can_be_kept() {
            return;
        }
        if link.is_sent() {
            self.keep(link);
            return;
        }
        tokio::task::spawn_local(async move {
            let sent = timeout(SETTLE, poll_fn(|cx| link.poll_sent(cx))).await;
            if sent.is_ok() && link.can_be_kept() {
                self.keep(link);
            }
        });
    }

    fn keep(&self, mut link: Box<Link>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_PER_ADDRESS_MAX {
            link.rest();
            idle.push(Idle {
                link,
                since: turn::now(),
            });
        }
    }
}

/// Whether it is open, and leads to its target still.
fn is_good(link: &mut Link) -> bool {
    link.lead.holds() && link.is_open()
}
