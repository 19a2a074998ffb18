//! The API as a router: which handler serves which operation. What an operation is, and what a key
//! needs for it, is [`operation`]'s.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodFilter, any, on};

use super::answer::Answered;
use super::auth::Caller;
use super::operation::Operation;
use super::pipeline::Call;
use super::{
    Api, RestState, acks, api_keys, audit, certificates, deliveries, edge_tokens, edges,
    environments, event_stream, events, health, manifests, openapi, operation, pipeline, purges,
    regions, release, routes, rule_sets, rule_versions, rules, shifts, snapshot_signature,
    snapshots, switches, targets, telemetry, upstream_health, upstreams, validation, version,
    webhook_test, webhooks, workspace,
};

/// The API as a router: every operation, and the answers for what is none.
pub fn router(state: RestState) -> Router {
    assembled(Arc::new(state.into())).unknown()
}

/// Every operation.
pub(super) fn assembled(api: Arc<Api>) -> Routes {
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
    routes.edge_tokens();
    routes.single_changes();
    routes.fleet();
    routes.access();
    routes.process();
    routes.v1();
    routes
}

/// The router as it is put together.
pub(super) struct Routes {
    api: Arc<Api>,
    router: Router,
    /// What was added for callers with a key.
    pub(super) guarded: Vec<(MethodFilter, Operation)>,
    /// What was added for anybody.
    pub(super) open: Vec<(MethodFilter, Operation)>,
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
        self.add(MethodFilter::GET, operation::AUDIT_PROOF, audit::proof);
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

    fn edge_tokens(&mut self) {
        use operation::{
            EDGE_TOKENS_CREATE, EDGE_TOKENS_DELETE, EDGE_TOKENS_GET, EDGE_TOKENS_LIST, EDGES_REVOKE,
        };
        self.add(MethodFilter::GET, EDGE_TOKENS_LIST, edge_tokens::list);
        self.add(MethodFilter::POST, EDGE_TOKENS_CREATE, edge_tokens::create);
        self.add(MethodFilter::GET, EDGE_TOKENS_GET, edge_tokens::get);
        self.add(
            MethodFilter::DELETE,
            EDGE_TOKENS_DELETE,
            edge_tokens::delete,
        );
        self.add(MethodFilter::POST, EDGES_REVOKE, edge_tokens::revoke);
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
        self.add(
            MethodFilter::POST,
            operation::UPSTREAMS_SHIFT,
            shifts::start,
        );
        self.add(
            MethodFilter::DELETE,
            operation::UPSTREAMS_CANCEL_SHIFT,
            shifts::cancel,
        );
    }

    fn fleet(&mut self) {
        self.add(MethodFilter::GET, operation::SNAPSHOTS_ACKS, acks::list);
        self.add(
            MethodFilter::GET,
            operation::SNAPSHOTS_SIGNATURE,
            snapshot_signature::get,
        );
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

    pub(super) fn unknown(self) -> Router {
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
    pub(super) fn add<H, F>(&mut self, method: MethodFilter, operation: Operation, handler: H)
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
