//! The REST API, served alike by every node: what is asked is read and checked here, decided by
//! the replicated state machine through [`ControlPlane`], and shown here.
//!
//! ```text
//! server     accepts connections, bounds them, drains them
//! pipeline   one request: id, deadline, panic, caller, headers, log, metrics
//! head       what a request says apart from its path and body
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
mod cursor;
mod deadline;
mod deliveries;
mod dry_run;
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
mod key_uses;
mod limits;
mod listing;
mod manifests;
mod metrics;
mod object;
pub mod openapi;
mod operation;
mod page;
mod pipeline;
mod policy;
mod propagation;
mod purges;
mod query;
mod regions;
mod release;
mod render;
mod routes;
mod rule_sets;
mod rule_versions;
mod rules;
mod server;
mod slots;
mod snapshots;
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

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodFilter, any, on};
use domain::command::{Actor, Command, Origin, Stamped};
use domain::id::Seed;
use domain::outcome::Applied;
use domain::rows::View;
use domain::time::Revision;
use platform::{Clock, Entropy};
use tokio::sync::{Semaphore, watch};

use crate::control_plane::{BoxFuture, Consistency, ControlPlane};
use crate::keys::KeyRing;
use crate::limits::Limits;
use crate::webhooks::courier::Courier;
pub use edges::{EdgeAck, EdgeSteps, EdgeView, FleetReader, FleetView, RejectedManifest};
pub(crate) use events::body as event_body;
pub use key_uses::KeyUses;
pub use metrics::HttpMetrics;
pub use server::{Server, ServerLimits};
pub use strict_transport::over_tls;
pub use telemetry::{
    Grouping, TELEMETRY_MINUTES_MAX, TelemetryKey, TelemetryQuery, TelemetrySample, TelemetryView,
};
pub(crate) use version::{newest as newest_api_version, sent as sent_by_version};

use answer::Answered;
use auth::{Caller, Callers};
use bad_keys::BadKeys;
use cursor::Cursors;
use error::ApiError;
use operation::Operation;
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
    /// The cluster's pepper.
    pub keys: KeyRing,
    /// Takes note of the keys that are used.
    pub key_uses: KeyUses,
    /// What the API counts.
    pub metrics: HttpMetrics,
    /// All of the node's metrics in the text format of Prometheus.
    pub exposition: Arc<dyn Fn() -> String + Send + Sync>,
    /// Which URLs may receive webhooks.
    pub receivers: ReceiverCheck,
    /// How much each key may ask.
    pub limits: Limits,
    /// Makes an attempt at a webhook endpoint.
    pub(crate) courier: Courier,
}

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
    exposition: Arc<dyn Fn() -> String + Send + Sync>,
    applied: watch::Receiver<Revision>,
    limits: Limits,
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
            cursors: Cursors::new(state.keys.derived("vectorgate cursor v1")),
            applied: state.control.changes(),
            control: state.control,
            fleet: state.fleet,
            clock: state.clock,
            entropy: state.entropy,
            keys: state.keys,
            metrics: state.metrics,
            exposition: state.exposition,
            limits: state.limits,
        }
    }
}

/// The API as a router: every operation, and the answers for what is none.
pub fn router(state: RestState) -> Router {
    assembled(Arc::new(state.into())).unknown()
}

/// Every operation.
fn assembled(api: Arc<Api>) -> Routes {
    let mut routes = Routes {
        api,
        router: Router::new(),
        guarded: Vec::new(),
        open: Vec::new(),
    };
    routes.resources();
    routes.changes();
    routes.history();
    routes.webhooks();
    routes.certificates();
    routes.single_changes();
    routes.fleet();
    routes.access();
    routes.process();
    routes.v1();
    routes
}

/// The router as it is put together.
struct Routes {
    api: Arc<Api>,
    router: Router,
    /// What was added for callers with a key.
    guarded: Vec<(MethodFilter, Operation)>,
    /// What was added for anybody.
    open: Vec<(MethodFilter, Operation)>,
}

impl Routes {
    fn resources(&mut self) {
        self.add(MethodFilter::GET, operation::RULES_LIST, rules::list);
        self.add(MethodFilter::POST, operation::RULES_CREATE, rules::create);
        self.add(MethodFilter::GET, operation::RULES_GET, rules::get);
        self.add(MethodFilter::PATCH, operation::RULES_UPDATE, rules::update);
        self.add(
            MethodFilter::DELETE,
            operation::RULES_ARCHIVE,
            rules::archive,
        );
        self.add(MethodFilter::GET, operation::ROUTES_LIST, routes::list);
        self.add(MethodFilter::POST, operation::ROUTES_CREATE, routes::create);
        self.add(MethodFilter::GET, operation::ROUTES_GET, routes::get);
        self.add(
            MethodFilter::PATCH,
            operation::ROUTES_UPDATE,
            routes::update,
        );
        self.add(
            MethodFilter::DELETE,
            operation::ROUTES_ARCHIVE,
            routes::archive,
        );
        self.add(
            MethodFilter::GET,
            operation::UPSTREAMS_LIST,
            upstreams::list,
        );
        self.add(
            MethodFilter::POST,
            operation::UPSTREAMS_CREATE,
            upstreams::create,
        );
        self.add(MethodFilter::GET, operation::UPSTREAMS_GET, upstreams::get);
        self.add(
            MethodFilter::PATCH,
            operation::UPSTREAMS_UPDATE,
            upstreams::update,
        );
        self.add(
            MethodFilter::DELETE,
            operation::UPSTREAMS_DELETE,
            upstreams::delete,
        );
    }

    fn changes(&mut self) {
        self.add(
            MethodFilter::POST,
            operation::ROUTES_PUBLISH,
            release::publish,
        );
        self.add(
            MethodFilter::POST,
            operation::ROUTES_ROLLBACK,
            release::rollback,
        );
        self.add(
            MethodFilter::GET,
            operation::ROUTES_SNAPSHOTS,
            snapshots::list_of_route,
        );
        self.add(
            MethodFilter::GET,
            operation::SNAPSHOTS_LIST,
            snapshots::list,
        );
        self.add(MethodFilter::GET, operation::SNAPSHOTS_GET, snapshots::get);
        self.add(
            MethodFilter::GET,
            operation::SNAPSHOTS_DIFF,
            snapshots::diff,
        );
        self.add(
            MethodFilter::GET,
            operation::SNAPSHOTS_PROPAGATION,
            edges::propagation,
        );
        self.add(MethodFilter::GET, operation::EDGES_LIST, edges::list);
    }

    fn history(&mut self) {
        self.add(MethodFilter::GET, operation::EVENTS_LIST, events::list);
        self.add(
            MethodFilter::GET,
            operation::EVENTS_STREAM,
            event_stream::open,
        );
        self.add(MethodFilter::GET, operation::EVENTS_GET, events::get);
        self.add(MethodFilter::GET, operation::AUDIT_LIST, audit::list);
        self.add(MethodFilter::GET, operation::AUDIT_GET, audit::get);
    }

    fn webhooks(&mut self) {
        use operation::{
            DELIVERIES_GET, DELIVERIES_LIST, DELIVERIES_RETRY, EVENTS_REPLAY, WEBHOOKS_CREATE,
            WEBHOOKS_DELETE, WEBHOOKS_DISABLE, WEBHOOKS_ENABLE, WEBHOOKS_GET, WEBHOOKS_LIST,
            WEBHOOKS_ROTATE, WEBHOOKS_TEST, WEBHOOKS_UPDATE,
        };
        self.add(MethodFilter::GET, WEBHOOKS_LIST, webhooks::list);
        self.add(MethodFilter::POST, WEBHOOKS_CREATE, webhooks::create);
        self.add(MethodFilter::GET, WEBHOOKS_GET, webhooks::get);
        self.add(MethodFilter::PATCH, WEBHOOKS_UPDATE, webhooks::update);
        self.add(MethodFilter::DELETE, WEBHOOKS_DELETE, webhooks::delete);
        self.add(MethodFilter::POST, WEBHOOKS_ROTATE, webhooks::rotate_secret);
        self.add(MethodFilter::POST, WEBHOOKS_ENABLE, webhooks::enable);
        self.add(MethodFilter::POST, WEBHOOKS_DISABLE, webhooks::disable);
        self.add(MethodFilter::POST, WEBHOOKS_TEST, webhook_test::send);
        self.add(MethodFilter::GET, DELIVERIES_LIST, deliveries::list);
        self.add(MethodFilter::GET, DELIVERIES_GET, deliveries::get);
        self.add(MethodFilter::POST, DELIVERIES_RETRY, deliveries::retry);
        self.add(MethodFilter::POST, EVENTS_REPLAY, deliveries::replay);
    }

    fn certificates(&mut self) {
        use operation::{
            CERTIFICATES_CREATE, CERTIFICATES_DELETE, CERTIFICATES_GET, CERTIFICATES_LIST,
            CERTIFICATES_UPDATE,
        };
        self.add(MethodFilter::GET, CERTIFICATES_LIST, certificates::list);
        self.add(
            MethodFilter::POST,
            CERTIFICATES_CREATE,
            certificates::create,
        );
        self.add(MethodFilter::GET, CERTIFICATES_GET, certificates::get);
        self.add(
            MethodFilter::PATCH,
            CERTIFICATES_UPDATE,
            certificates::update,
        );
        self.add(
            MethodFilter::DELETE,
            CERTIFICATES_DELETE,
            certificates::delete,
        );
    }

    fn single_changes(&mut self) {
        self.add(MethodFilter::POST, operation::RULES_PAUSE, switches::pause);
        self.add(
            MethodFilter::POST,
            operation::RULES_RESUME,
            switches::resume,
        );
        self.add(MethodFilter::POST, operation::RULES_BATCH, rule_sets::batch);
        self.add(
            MethodFilter::GET,
            operation::RULES_VERSIONS,
            rule_versions::list,
        );
        self.add(
            MethodFilter::GET,
            operation::RULES_VERSION,
            rule_versions::get,
        );
        self.add(
            MethodFilter::POST,
            operation::ROUTES_ENABLE,
            switches::enable,
        );
        self.add(
            MethodFilter::POST,
            operation::ROUTES_DISABLE,
            switches::disable,
        );
        self.add(MethodFilter::POST, operation::ROUTES_PURGE, purges::purge);
        self.add(
            MethodFilter::POST,
            operation::ROUTES_REORDER,
            rule_sets::reorder,
        );
        self.add(
            MethodFilter::POST,
            operation::ROUTES_VALIDATE,
            validation::validate,
        );
        self.add(MethodFilter::GET, operation::TARGETS_LIST, targets::list);
        self.add(
            MethodFilter::POST,
            operation::TARGETS_CREATE,
            targets::create,
        );
        self.add(MethodFilter::GET, operation::TARGETS_GET, targets::get);
        self.add(
            MethodFilter::PATCH,
            operation::TARGETS_UPDATE,
            targets::update,
        );
        self.add(
            MethodFilter::DELETE,
            operation::TARGETS_DELETE,
            targets::delete,
        );
    }

    fn fleet(&mut self) {
        self.add(MethodFilter::GET, operation::SNAPSHOTS_ACKS, acks::list);
        self.add(
            MethodFilter::GET,
            operation::MANIFESTS_CURRENT,
            manifests::current,
        );
        self.add(MethodFilter::GET, operation::EDGES_GET, edges::get);
        self.add(
            MethodFilter::GET,
            operation::UPSTREAMS_HEALTH,
            upstream_health::get,
        );
        self.add(MethodFilter::GET, operation::REGIONS_LIST, regions::list);
        self.add(MethodFilter::GET, operation::REGIONS_GET, regions::get);
        telemetry::serve(self);
    }

    fn access(&mut self) {
        let (get, post) = (MethodFilter::GET, MethodFilter::POST);
        let (patch, delete) = (MethodFilter::PATCH, MethodFilter::DELETE);
        self.add(get, operation::API_KEYS_LIST, api_keys::list);
        self.add(post, operation::API_KEYS_CREATE, api_keys::create);
        self.add(get, operation::API_KEYS_CURRENT, api_keys::current);
        self.add(get, operation::API_KEYS_GET, api_keys::get);
        self.add(patch, operation::API_KEYS_UPDATE, api_keys::update);
        self.add(delete, operation::API_KEYS_DELETE, api_keys::revoke);
        self.add(post, operation::API_KEYS_ROLL, api_keys::roll);
        self.add(post, operation::API_KEYS_REVOKE, api_keys::revoke);
        self.add(get, operation::ENVIRONMENTS_LIST, environments::list);
        self.add(post, operation::ENVIRONMENTS_CREATE, environments::create);
        self.add(get, operation::ENVIRONMENTS_GET, environments::get);
        self.add(get, operation::WORKSPACE_GET, workspace::get);
        self.add(patch, operation::WORKSPACE_UPDATE, workspace::update);
        self.add(get, operation::WORKSPACE_USAGE, workspace::usage);
        self.add(get, operation::WORKSPACE_LIMITS, workspace::limits);
    }

    fn process(&mut self) {
        self.add_open(MethodFilter::GET, operation::LIVEZ, health::livez);
        self.add_open(MethodFilter::GET, operation::READYZ, health::readyz);
        self.add_open(MethodFilter::GET, operation::METRICS, health::metrics);
        self.add_open(
            MethodFilter::GET,
            operation::OPENAPI,
            openapi::serve_document,
        );
        self.add_open(MethodFilter::GET, operation::DOCS, openapi::serve_page);
    }

    /// What is left of v1, for any method.
    fn v1(&mut self) {
        for operation in [operation::V1, operation::V1_SLASH, operation::V1_BELOW] {
            let api = Arc::clone(&self.api);
            let serve = move |request: Request| {
                let request = version::sunset::reduced(request);
                pipeline::open(api, operation, request, version::sunset::v1)
            };
            self.router = std::mem::take(&mut self.router).route(operation.path, any(serve));
        }
    }

    fn unknown(self) -> Router {
        let Self { api, router, .. } = self;
        let (path, method) = (Arc::clone(&api), api);
        router
            .fallback(move |request| {
                pipeline::open(path, operation::UNKNOWN_PATH, request, health::unknown_path)
            })
            .method_not_allowed_fallback(move |request| {
                let request = version::sunset::reduced(request);
                pipeline::open(
                    method,
                    operation::UNKNOWN_METHOD,
                    request,
                    health::unknown_method,
                )
            })
    }

    /// An operation for callers with a key. There is no other way to add one under `/v2`.
    fn add<H, F>(&mut self, method: MethodFilter, operation: Operation, handler: H)
    where
        H: Fn(Arc<Api>, Caller, Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answered> + Send,
    {
        let api = Arc::clone(&self.api);
        let serve = move |request: Request| pipeline::guarded(api, operation, request, handler);
        self.guarded.push((method, operation));
        self.router = std::mem::take(&mut self.router).route(operation.path, on(method, serve));
    }

    /// An operation for anybody who reaches the listener.
    fn add_open<H, F>(&mut self, method: MethodFilter, operation: Operation, handler: H)
    where
        H: Fn(Arc<Api>, Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answered> + Send,
    {
        let api = Arc::clone(&self.api);
        let serve = move |request: Request| pipeline::open(api, operation, request, handler);
        self.open.push((method, operation));
        self.router = std::mem::take(&mut self.router).route(operation.path, on(method, serve));
    }
}
