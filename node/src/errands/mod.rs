//! What the cluster does by itself when its time has come. The node that leads looks again and again
//! at what is due by the log's time and proposes it; the state machine judges whether it still is, and
//! writes it down once. What is remembered between two looks is no more than how far was looked, so
//! whoever leads next goes on where the state stands.
//!
//! ```text
//! signing    the first signing key of a cluster that has none yet
//! shifts     the next step of a shift of weight, or its end
//! expiries   that a certificate or an API key expires soon
//! edges      that edges which were turned away long ago need not be known any more
//! outages    that an upstream is out of use in a region, or back: the verdict of most edges there
//! ```

mod edges;
mod expiries;
mod outages;
mod shifts;
mod signing;
mod verdict;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::command::{Command, Origin, Stamped};
use domain::id::RequestId;
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use platform::{Clock, Entropy};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::control_plane::ControlPlane;
use crate::keys::KeyRing;
use crate::log_time::LogTime;
use crate::rest::FleetReader;
use expiries::Ends;

/// How often is looked: the least that is due is due seconds later.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What errands take from outside.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) fleet: Arc<dyn FleetReader>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) keys: KeyRing,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Parts {
    fn leads(&self) -> bool {
        self.control.leader() == Some(self.control.this().id)
    }

    /// What is lost is seen and proposed again; what is repeated changes nothing.
    async fn propose(&self, at: Timestamp, command: Command) {
        let stamped = Stamped {
            at,
            request_id: RequestId::new(self.entropy.seed(at)),
            idempotency: None,
            command,
            origin: Origin::default(),
            precondition: None,
        };
        let proposed = self.control.propose(stamped).await;
        match proposed.map(|done| done.reply) {
            Ok(Ok(_)) => {}
            Ok(Err(rejection)) => tracing::warn!(%rejection, "what was due was refused"),
            Err(error) => tracing::debug!(%error, "what was due could not be written down"),
        }
    }
}

/// Errands under way.
pub(crate) struct Errands([JoinHandle<()>; 2]);

impl Errands {
    pub(crate) fn start(parts: Parts) -> Self {
        Self([
            tokio::spawn(outages::run(parts.clone())),
            tokio::spawn(run(Runner::new(parts))),
        ])
    }

    /// Ends them. What was proposed and not answered may have been written down, or not; the next
    /// leader looks anew.
    pub(crate) fn shut_down(self) {
        for task in self.0 {
            task.abort();
        }
    }
}

async fn run(mut runner: Runner) {
    loop {
        sleep(LOOK_EVERY).await;
        if runner.parts.leads() {
            runner.look().await;
        }
    }
}

/// Looks at what is due.
pub(crate) struct Runner {
    parts: Parts,
    started: Instant,
    time: LogTime,
    ends: Ends,
    /// When was looked at edges.
    edges_looked: Option<Instant>,
}

impl Runner {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            started: Instant::now(),
            time: LogTime::new(),
            ends: Ends::default(),
            edges_looked: None,
        }
    }

    /// Looks once, and proposes what is due.
    pub(crate) async fn look(&mut self) {
        self.signing().await;
        self.shifts().await;
        self.expiries().await;
        self.edges().await;
    }

    /// Reads what this node has applied, with the log's time then. A storage fault ends the process.
    fn read<T>(&mut self, read: impl FnOnce(&dyn View) -> T) -> Option<(T, Timestamp)> {
        let seen = |view: &dyn View| (read(view), query::log_time(view));
        let ((found, last), _) = self.parts.control.read_local(seen).ok()?;
        let passed = self.started.elapsed();
        self.time.saw(last, passed);
        Some((found, self.time.at(self.parts.clock.now(), passed)))
    }
}
