//! What clients do: make, change, publish and read what two environments hold, through random
//! nodes, trying again with the same idempotency key until they know what happened; and request
//! traffic from the edges. They record everything in the history.
//!
//! | | |
//! |---|---|
//! | `client` | a client: nodes, retries, recording |
//! | `mix` | how often it does what |
//! | `scene` | what all of them work on |
//! | `rules` `publishing` `racing` `reads` `access` `bad` | what it does |
//! | `request` `answers` | one request, and what is kept of its answer |
//! | `probe` | the other ends of edges |

mod access;
mod answers;
mod bad;
mod client;
mod mix;
mod probe;
mod publishing;
mod racing;
mod reads;
mod request;
mod rules;
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::history::{Environment, History};
use scene::Scene;

pub use client::Client;
pub use probe::{DEBUG_KEY, origin, probe, probe_once};
pub use scene::HOSTNAMES;

/// How many requests an API key may make in a minute: more than a client makes that pauses, and
/// fewer than one makes that does not.
pub const REQUESTS_PER_MINUTE: u32 = 1_500;

/// What all clients share.
#[derive(Clone, Default)]
pub struct Shared {
    /// Where everything is recorded.
    pub history: Arc<Mutex<History>>,
    /// The keys that bootstrap made.
    pub api_keys: Arc<Mutex<BTreeMap<Environment, String>>>,
    /// What was made before the clients began.
    scenes: Arc<Mutex<BTreeMap<Environment, Scene>>>,
    /// Whether it was.
    prepared: Arc<Mutex<bool>>,
    /// How many webhook endpoints were begun.
    endpoints: Arc<Mutex<usize>>,
    /// The nodes that clients know, by index.
    pub nodes: Arc<Mutex<Vec<usize>>>,
    /// Those that will not come back, as operators tell clients: they are not asked any more.
    pub lost: Arc<Mutex<BTreeSet<usize>>>,
    /// How many receivers of webhooks there are.
    pub receivers: usize,
    /// Whether faults are over and clients should finish what they began.
    pub winding_up: Arc<Mutex<bool>>,
    /// How many clients have done what needs nothing of edges to prove that the cluster is whole.
    pub proved: Arc<Mutex<usize>>,
    /// Whether edges have followed after the faults, with nothing new to be told.
    pub followed: Arc<Mutex<bool>>,
}

impl Shared {
    /// Shared by the clients of a run with so many receivers of webhooks, who know so many nodes at first.
    #[must_use]
    pub fn new(nodes: usize, receivers: usize) -> Self {
        let shared = Self {
            nodes: Arc::new(Mutex::new((0..nodes).collect())),
            receivers,
            ..Self::default()
        };
        shared.history.lock().requests_per_minute = Some(REQUESTS_PER_MINUTE.into());
        shared
    }

    /// Whether everything is made and published that clients work on.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        *self.prepared.lock()
    }

    /// The number of the next endpoint.
    fn endpoints_begun(&self) -> usize {
        let mut endpoints = self.endpoints.lock();
        *endpoints += 1;
        *endpoints - 1
    }
}

/// The host name of a receiver of webhooks, by index from 0.
#[must_use]
pub fn receiver(index: usize) -> String {
    format!("receiver-{}", index + 1)
}

/// Simulated microseconds since the run began.
#[must_use]
pub fn now_us() -> u64 {
    u64::try_from(turmoil::sim_elapsed().unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}
