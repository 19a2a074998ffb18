//! The REST API, served alike by every node: what is asked is read and checked here, decided by
//! the replicated state machine through [`ControlPlane`], and shown here.
//!
//! ```text
//! server     accepts connections, bounds them, drains them
//! pipeline   one request: id, deadline, panic, caller, headers, log, metrics
//! head       what a request says apart from its path and body
//! span       a request as a part of a trace
//! version    what an older pin changes in requests and responses
//! policy     what a key needs for an operation; authorize compares it with the caller's key
//! rules …    one file per resource: an operation reads its fields, proposes or reads, answers
//! object     how records look in JSON
//! openapi    what the API is, as a document and as a page
//! json, fields, query, cursor, page, error, etag, answer, render     the tools of these
//! ```
//!
//! What the API promises its users stands in `docs/api.md`.

mod acks;
mod answer;
mod api_keys;
mod audit;
mod auth;
mod authorize;
mod bad_keys;
mod certificates;
mod comparison;
mod course;
pub(crate) mod cursor;
mod deadline;
mod deliveries;
mod dry_run;
mod edge_tokens;
mod edges;
mod environments;
mod error;
mod etag;
mod event_stream;
mod events;
mod fields;
mod guard;
mod head;
mod health;
mod idempotency;
mod json;
mod key_moves;
mod key_uses;
mod limits;
mod listing;
mod manifests;
mod metrics;
mod object;
pub mod openapi;
mod operation;
mod own_metrics;
mod page;
mod pipeline;
mod policy;
mod propagation;
mod purges;
mod query;
mod regions;
mod release;
mod render;
mod router;
mod routes;
mod rule_sets;
mod rule_versions;
mod rules;
mod server;
mod shifts;
mod shown;
mod slots;
mod snapshot_signature;
mod snapshots;
mod span;
mod strict_transport;
mod switches;
mod targets;
mod telemetry;
#[cfg(test)]
mod tests;
mod turns;
mod upstream_health;
mod upstreams;
mod validation;
mod version;
mod wait;
mod webhook_test;
mod webhooks;
mod workspace;

use std::fmt;
use std::sync::Arc;

use domain::command::{Actor, Command, Origin, Stamped};
use domain::id::Seed;
use domain::outcome::Applied;
use domain::rows::View;
use domain::time::Revision;
use platform::trace::Tracer;
use platform::{Clock, Entropy};
use tokio::sync::{Semaphore, watch};

use crate::control_plane::{BoxFuture, Consistency, ControlPlane};
use crate::keys::KeyRing;
use crate::limits::Limits;
use crate::signing::Signer;
use crate::webhooks::courier::Courier;
pub(crate) use bad_keys::BadKeys;
pub use edges::{
    DistrustedKeys, EdgeAck, EdgeSteps, EdgeView, FleetReader, FleetView, RejectedManifest,
};
pub(crate) use events::body as event_body;
pub use key_uses::KeyUses;
pub use metrics::HttpMetrics;
pub use own_metrics::metrics_router;
pub(crate) use pipeline::ClientAddress;
pub use router::router;
pub use server::{Server, ServerLimits};
pub use strict_transport::over_tls;
pub use telemetry::{
    Grouping, TELEMETRY_MINUTES_MAX, TelemetryKey, TelemetryQuery, TelemetrySample, TelemetryView,
};
pub(crate) use version::{newest as newest_api_version, sent as sent_by_version};

use auth::{Caller, Callers};
use cursor::Cursors;
use error::ApiError;
use pipeline::Call;
use slots::Slots;
use turns::Turns;

/// What the API needs of the node.
#[derive(Clone)]
pub struct RestState {
    /// The replicated state machine.
    pub control: Arc<dyn ControlPlane>,
    /// The edges of the whole cluster.
    pub fleet: Arc<dyn FleetReader>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for identifiers.
    pub entropy: Arc<dyn Entropy>,
    /// The cluster's peppers.
    pub keys: KeyRing,
    /// Takes note of the keys that are used.
    pub key_uses: KeyUses,
    /// What the API counts.
    pub metrics: HttpMetrics,
    /// All of the node's metrics, where they are on the API's port.
    pub exposition: Option<Exposition>,
    /// Which URLs may receive webhooks.
    pub receivers: ReceiverCheck,
    /// How much each key may ask.
    pub limits: Limits,
    /// Whom edges are to believe that come by join tokens; nothing where none can.
    pub authorities: Option<Authorities>,
    /// Records requests as parts of traces.
    pub tracer: Tracer,
    /// Makes an attempt at a webhook endpoint.
    pub(crate) courier: Courier,
}

/// All of the node's metrics in the text format of Prometheus.
pub type Exposition = Arc<dyn Fn() -> String + Send + Sync>;

/// The authorities of nodes that are current, as certificates in DER.
pub type Authorities = Arc<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>;

/// Says why a URL may not receive webhooks, if it may not.
pub type ReceiverCheck = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

impl fmt::Debug for RestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestState").finish_non_exhaustive()
    }
}

/// [`RestState`] and what is derived from it once.
struct Api {
    control: Arc<dyn ControlPlane>,
    fleet: Arc<dyn FleetReader>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keys: KeyRing,
    signer: Signer,
    callers: Callers,
    bad_keys: BadKeys,
    streams: Arc<Slots>,
    /// Streams that carry measurements, too.
    pulses: Arc<Slots>,
    exports: Arc<Slots>,
    waits: Arc<Semaphore>,
    turns: Turns,
    receivers: ReceiverCheck,
    courier: Courier,
    key_uses: KeyUses,
    cursors: Cursors,
    metrics: HttpMetrics,
    exposition: Option<Exposition>,
    applied: watch::Receiver<Revision>,
    limits: Limits,
    authorities: Option<Authorities>,
    tracer: Tracer,
}

/// What a read found, and the revision of the view that it was found in.
struct Seen<T> {
    value: T,
    revision: Revision,
}

impl Api {
    /// What a new identifier is made of.
    fn seed(&self) -> Seed {
        self.entropy.seed(self.clock.now())
    }

    /// What this node has applied.
    fn applied(&self) -> Revision {
        *self.applied.borrow()
    }

    /// Reads as fresh as the request asks.
    async fn read<T: Send>(
        &self,
        consistency: Consistency,
        read: impl FnOnce(&dyn View) -> T + Send,
    ) -> Result<Seen<T>, ApiError> {
        let (value, revision) = self.control.read(consistency, read).await?;
        Ok(Seen { value, revision })
    }

    /// Proposes a command on behalf of the caller, or only judges it if that is what is asked.
    fn propose(
        &self,
        caller: &Caller,
        call: &Call,
        command: impl FnOnce(Actor) -> Command,
    ) -> BoxFuture<'_, Result<Applied, ApiError>> {
        let mut stamped = Stamped {
            at: self.clock.now(),
            request_id: call.request_id.clone(),
            idempotency: call.idempotency.clone(),
            command: command(caller.actor()),
            origin: Origin {
                method: call.method.to_string(),
                path: call.path.clone(),
                address: call.address.map(|address| address.to_string()),
            },
            precondition: call.precondition.clone(),
        };
        if call.dry_run {
            return Box::pin(async move { Ok(dry_run::judge(self, stamped).await?) });
        }
        let key = call.idempotency.as_ref().map(|given| given.key.clone());
        let running = key.map(|key| (caller.environment_id.clone(), key));
        Box::pin(async move {
            let _turn = match running {
                Some(id) => Some(self.turns.take(id).await?),
                None => None,
            };
            stamped.at = self.clock.now();
            Ok(self.control.propose(stamped).await?)
        })
    }
}

impl From<RestState> for Api {
    fn from(state: RestState) -> Self {
        Self {
            callers: Callers::default(),
            bad_keys: BadKeys::default(),
            receivers: state.receivers,
            courier: state.courier,
            waits: Arc::new(Semaphore::new(wait::WAITS_MAX)),
            turns: Turns::default(),
            exports: Slots::new("exports", audit::EXPORTS_MAX, audit::EXPORTS_OF_KEY_MAX),
            streams: Slots::new(
                "streams",
                event_stream::STREAMS_MAX,
                event_stream::STREAMS_OF_KEY_MAX,
            ),
            pulses: Slots::new(
                "streams of telemetry",
                event_stream::PULSES_MAX,
                event_stream::PULSES_OF_KEY_MAX,
            ),
            key_uses: state.key_uses,
            cursors: Cursors::new(state.keys.purposed("vectorgate cursor v1")),
            applied: state.control.changes(),
            control: state.control,
            fleet: state.fleet,
            clock: state.clock,
            entropy: state.entropy,
            signer: Signer::new(state.keys.clone()),
            keys: state.keys,
            metrics: state.metrics,
            exposition: state.exposition,
            limits: state.limits,
            authorities: state.authorities,
            tracer: state.tracer,
        }
    }
}
