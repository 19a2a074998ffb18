//! The REST API, served alike by every node: what is asked is read and checked here, decided by
//! the replicated state machine through [`ControlPlane`], and shown here.
//!
//! ```text
//! server     accepts connections, bounds them, drains them
//! pipeline   one request: id, deadline, panic, caller, headers, log, metrics
//! rules …    one file per resource: an operation reads its fields, proposes or reads, answers
//! object     how records look in JSON
//! json, fields, query, cursor, page, error, answer, render     the tools of these
//! ```
//!
//! What the API promises its users stands in `docs/api.md`.

mod answer;
mod auth;
mod comparison;
mod cursor;
mod edges;
mod error;
mod fields;
mod guard;
mod health;
mod idempotency;
mod json;
mod limits;
mod metrics;
mod object;
mod operation;
mod page;
mod pipeline;
mod propagation;
mod query;
mod release;
mod render;
mod routes;
mod rules;
mod server;
mod snapshots;
#[cfg(test)]
mod tests;
mod upstreams;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodFilter, on};
use domain::command::{Actor, Command, Stamped};
use domain::id::Seed;
use domain::outcome::Applied;
use domain::rows::View;
use domain::time::Revision;
use platform::{Clock, Entropy};
use tokio::sync::watch;

use crate::control_plane::{BoxFuture, Consistency, ControlPlane, ProposeError};
use crate::keys::KeyRing;
use crate::limits::Limits;
pub use edges::{EdgeAck, EdgeView, FleetReader, FleetView, RejectedManifest};
pub use metrics::HttpMetrics;
pub use server::{Server, ServerLimits};

use answer::Answered;
use auth::{Caller, Callers};
use cursor::Cursors;
use error::ApiError;
use operation::Operation;
use pipeline::Call;

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
    /// What the API counts.
    pub metrics: HttpMetrics,
    /// All of the node's metrics in the text format of Prometheus.
    pub exposition: Arc<dyn Fn() -> String + Send + Sync>,
    /// How much each key may ask.
    pub limits: Limits,
}

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

    /// Proposes a command on behalf of the caller.
    fn propose(
        &self,
        caller: &Caller,
        call: &Call,
        command: impl FnOnce(Actor) -> Command,
    ) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        let stamped = Stamped {
            at: self.clock.now(),
            request_id: call.request_id.clone(),
            idempotency: call.idempotency.clone(),
            command: command(caller.actor()),
        };
        self.control.propose(stamped)
    }
}

/// The API as a router: every operation, and the answers for what is none.
pub fn router(state: RestState) -> Router {
    let api = Arc::new(Api {
        callers: Callers::default(),
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
    });
    let mut routes = Routes {
        api,
        router: Router::new(),
    };
    routes.resources();
    routes.changes();
    routes.process();
    routes.unknown()
}

/// The router as it is put together.
struct Routes {
    api: Arc<Api>,
    router: Router,
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

    fn process(&mut self) {
        self.add_open(MethodFilter::GET, operation::LIVEZ, health::livez);
        self.add_open(MethodFilter::GET, operation::READYZ, health::readyz);
        self.add_open(MethodFilter::GET, operation::METRICS, health::metrics);
    }

    fn unknown(self) -> Router {
        let Self { api, router } = self;
        let (path, method) = (Arc::clone(&api), api);
        router
            .fallback(move |request| {
                pipeline::open(path, operation::UNKNOWN_PATH, request, health::unknown_path)
            })
            .method_not_allowed_fallback(move |request| {
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
        self.router = std::mem::take(&mut self.router).route(operation.path, on(method, serve));
    }
}
