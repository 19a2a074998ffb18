//! A node without the node: its state machine is [`MemoryControl`], the clock is set by hand, entropy
//! counts.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::MethodFilter;
use bytes::Bytes;
use domain::command::{Command, RevokeApiKey, Stamped};
use domain::id::{ApiKeyId, RequestId, Seed};
use domain::model::{KeyHash, KeyKind};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use platform::{Clock, Entropy};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::super::operation::Operation;
use super::super::pipeline::ClientAddress;
use super::super::router::assembled;
use super::super::{HttpMetrics, KeyUses, RestState};
use super::documented::{self, Asked};
use super::fleet::FakeFleet;
use super::founding::bootstrap;
pub(super) use super::memory_control::{MemoryControl, Trouble};
use super::ports::{Counting, HandClock};
use super::receivers::Receivers;
pub(super) use super::reply::Reply;
use super::reply::check_common;
use super::strangers;
use crate::control_plane::{BoxFuture, MemberId, PeerError, PeerLimits};
use crate::keys::{KeyRing, Secret};
use crate::limits::{LimitMetrics, LimitParts, Limits};
use crate::sealing::KekRing;
use crate::settings::LimitSettings;

/// There is one node.
struct NoPeers;

impl PeerLimits for NoPeers {
    fn ask_limits(
        &self,
        member: MemberId,
        _: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, PeerError>> {
        Box::pin(async move { Err(PeerError::Unknown(member)) })
    }
}

/// When every test starts.
pub(super) const START_MS: u64 = 1_714_320_000_500;

/// A cluster with a workspace, and a second workspace that bootstrap does not make.
pub(super) struct World {
    pub(super) control: Arc<MemoryControl>,
    pub(super) clock: Arc<HandClock>,
    pub(super) entropy: Arc<Counting>,
    pub(super) fleet: Arc<FakeFleet>,
    pub(super) receivers: Arc<Receivers>,
    pub(super) live: String,
    pub(super) test: String,
    pub(super) stranger: String,
    pub(super) live_key_id: ApiKeyId,
    pub(super) key_uses: KeyUses,
    pub(super) router: Router,
    /// What the router serves to callers with a key.
    pub(super) operations: Vec<(MethodFilter, Operation)>,
    /// What it serves to anybody.
    pub(super) open_operations: Vec<(MethodFilter, Operation)>,
}

pub(super) fn keys() -> KeyRing {
    let keks = KekRing::parse(&"05".repeat(32)).unwrap();
    KeyRing::new(&[7; 32]).unwrap().with_keks(keks)
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_limits(LimitSettings::default())
    }

    pub(super) fn with_limits(settings: LimitSettings) -> Self {
        Self::with(settings, keys())
    }

    /// One whose node has these keys, and whose cluster began with the one that it wants.
    pub(super) fn with_keys(keys: KeyRing) -> Self {
        Self::with(LimitSettings::default(), keys)
    }

    fn with(settings: LimitSettings, keys: KeyRing) -> Self {
        let control = Arc::new(MemoryControl::new());
        let clock = Arc::new(HandClock::new(START_MS));
        let entropy = Arc::new(Counting::default());
        let mint = |kind| keys.mint(kind, &*entropy);
        let (live, test, stranger) = (
            mint(KeyKind::Live),
            mint(KeyKind::Test),
            mint(KeyKind::Live),
        );
        let seed = || entropy.seed(clock.now());
        let live_key_id = ApiKeyId::new(seed());
        bootstrap(
            &control,
            &seed,
            &live_key_id,
            (&live.1, &test.1),
            keys.pepper_check(),
        );
        control.edit(|rows| strangers::settle(rows, &seed, &stranger.1));
        let text = |(secret, _): (Secret, KeyHash)| secret.reveal().to_owned();
        let texts = [text(live), text(test), text(stranger)];
        Self::serving(
            (settings, keys),
            (control, clock, entropy),
            texts,
            live_key_id,
        )
    }

    /// The same cluster, as a node with other keys serves it.
    pub(super) fn served_with(self, keys: KeyRing) -> Self {
        Self::serving(
            (LimitSettings::default(), keys),
            (self.control, self.clock, self.entropy),
            [self.live, self.test, self.stranger],
            self.live_key_id,
        )
    }

    fn serving(
        (settings, keys): (LimitSettings, KeyRing),
        (control, clock, entropy): (Arc<MemoryControl>, Arc<HandClock>, Arc<Counting>),
        [live, test, stranger]: [String; 3],
        live_key_id: ApiKeyId,
    ) -> Self {
        let fleet = Arc::new(FakeFleet::default());
        let (key_uses, mut registry) = (KeyUses::default(), Registry::default());
        let metrics = HttpMetrics::register(&mut registry);
        let limits = Limits::new(LimitParts {
            settings,
            control: control.clone(),
            peers: Arc::new(NoPeers),
            process: 1,
            metrics: LimitMetrics::register(&mut registry),
        });
        let receivers = Arc::new(Receivers::default());
        let state = RestState {
            control: control.clone(),
            fleet: fleet.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            keys,
            key_uses: key_uses.clone(),
            metrics,
            exposition: Some(Arc::new(move || {
                let mut text = String::new();
                prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
                text
            })),
            limits,
            courier: receivers.courier(control.clone(), &clock),
            authorities: Some(Arc::new(|| vec![vec![1, 2, 3]])),
            tracer: platform::trace::Tracer::off(),
            receivers: Arc::new(|url| {
                let known = url.starts_with("https://hooks.example.net/");
                known.then_some(()).ok_or_else(|| "Not there.".to_owned())
            }),
        };
        let routes = assembled(Arc::new(state.into()));
        let (operations, open_operations) = (routes.guarded.clone(), routes.open.clone());
        let router = routes.unknown();
        Self {
            control,
            clock,
            entropy,
            fleet,
            receivers,
            live,
            test,
            stranger,
            live_key_id,
            key_uses,
            router,
            operations,
            open_operations,
        }
    }

    pub(super) fn trouble(&self, trouble: Trouble) {
        self.control.trouble.send_replace(trouble);
    }

    pub(super) fn advance_ms(&self, ms: u64) {
        self.clock.advance_ms(ms);
    }

    pub(super) fn revoke(&self, id: &ApiKeyId) {
        self.control.apply(&self.revocation(id)).reply.unwrap();
    }

    /// Revokes a key after the next request has looked it up, and before it reads.
    pub(super) fn revoke_meanwhile(&self, id: &ApiKeyId) {
        *self.control.meanwhile.lock() = Some(self.revocation(id));
    }

    fn revocation(&self, id: &ApiKeyId) -> Stamped {
        Stamped {
            at: self.clock.now(),
            request_id: RequestId::new(Seed {
                unix_ms: 1,
                random: 1,
            }),
            idempotency: None,
            command: Command::RevokeApiKey(RevokeApiKey { id: id.clone() }),
            origin: Default::default(),
            precondition: None,
        }
    }

    /// A request with the live key.
    pub(super) fn request(&self, method: Method, path: &str) -> Asking<'_> {
        let mut headers = HeaderMap::new();
        headers.insert(
            "authorization",
            format!("Bearer {}", self.live).parse().unwrap(),
        );
        Asking {
            world: self,
            method,
            path: path.to_owned(),
            headers,
            body: Bytes::new(),
            address: None,
        }
    }

    pub(super) fn get(&self, path: &str) -> Asking<'_> {
        self.request(Method::GET, path)
    }

    pub(super) fn delete(&self, path: &str) -> Asking<'_> {
        self.request(Method::DELETE, path)
    }

    pub(super) fn post(&self, path: &str, body: Value) -> Asking<'_> {
        self.request(Method::POST, path).json(&body)
    }

    pub(super) fn patch(&self, path: &str, body: Value) -> Asking<'_> {
        self.request(Method::PATCH, path).json(&body)
    }

    /// An upstream with one target; its identifier.
    pub(super) async fn upstream(&self) -> String {
        let body = json!({"name": "origin", "targets": [{"address": "127.0.0.1", "port": 8201}]});
        self.post("/v2/upstreams", body).created().await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A balanced route to a new upstream; both identifiers.
    pub(super) async fn route(&self, hostname: &str) -> (String, String) {
        let upstream = self.upstream().await;
        let config = json!({"upstreams": [{"upstream_id": upstream, "weight": 100}]});
        let body = json!({"name": "Public API", "hostname": hostname, "mode": "balanced", "config": config});
        let route = self.post("/v2/routes", body).created().await;
        (route["id"].as_str().unwrap().to_owned(), upstream)
    }

    /// A rule with the given priority; its identifier.
    pub(super) async fn rule(&self, route: &str, priority: u32) -> String {
        let body = fixed_rule(route, priority);
        self.post("/v2/rules", body).created().await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Publishes a route; the snapshot.
    pub(super) async fn publish(&self, route: &str) -> Value {
        self.request(Method::POST, &format!("/v2/routes/{route}/publish"))
            .ok()
            .await
    }
}

/// A rule that needs no upstream.
pub(super) fn fixed_rule(route: &str, priority: u32) -> Value {
    json!({
        "route_id": route,
        "name": format!("rule {priority}"),
        "priority": priority,
        "match": {"path": format!("/{priority}")},
        "action": {"type": "fixed_response", "status": 204},
    })
}

/// A request that is being put together.
#[derive(Clone)]
pub(super) struct Asking<'a> {
    world: &'a World,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    address: Option<IpAddr>,
}

impl Asking<'_> {
    pub(super) fn json(self, body: &Value) -> Self {
        self.raw(body.to_string())
            .header("content-type", "application/json")
    }

    pub(super) fn raw(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(super) fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }

    pub(super) fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Comes from this address.
    pub(super) fn from(self, address: &str) -> Self {
        let address = Some(address.parse().unwrap());
        Self { address, ..self }
    }

    /// Sends it; the answer's body may still be in the making.
    pub(super) async fn open(self) -> Response {
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.parse().unwrap();
        *request.headers_mut() = self.headers;
        let address = self.address.map(ClientAddress);
        address.map(|address| request.extensions_mut().insert(address));
        self.world.router.clone().oneshot(request).await.unwrap()
    }

    /// Sends it.
    pub(super) async fn send(self) -> Reply {
        let (method, path, body_sent) = (self.method.clone(), self.path.clone(), self.body.clone());
        let (parts, body) = self.open().await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        check_common(&parts.headers);
        let reply = Reply {
            status: parts.status,
            headers: parts.headers,
            bytes,
        };
        let asked = Asked {
            method: &method,
            target: &path,
            body: &body_sent,
        };
        documented::check(&asked, &reply);
        reply
    }

    /// Sends it and expects 200.
    pub(super) async fn ok(self) -> Value {
        let reply = self.send().await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()
    }

    /// Sends it and expects 201.
    pub(super) async fn created(self) -> Value {
        let reply = self.send().await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
        reply.json()
    }

    /// Sends it and expects an error.
    pub(super) async fn fails(self, status: u16, code: &str, param: Option<&str>) -> Reply {
        let what = format!(
            "{} {} {}",
            self.method,
            self.path,
            String::from_utf8_lossy(&self.body)
        );
        let reply = self.send().await;
        reply.is_error(status, code, param, &what);
        reply
    }
}
