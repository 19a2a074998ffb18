//! A node without the node: the replicated state machine is a map and a counter, the clock is set
//! by hand, entropy counts.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::MethodFilter;
use bytes::Bytes;
use domain::command::{Bootstrap, Command, NewEnvironment, RevokeApiKey, Stamped};
use domain::id::{ApiKeyId, EnvironmentId, OrgId, RequestId, Seed, WorkspaceId};
use domain::machine;
use domain::model::{ApiVersion, KeyHash, KeyKind, Plan, Sealing};
use domain::outcome::Applied;
use domain::query;
use domain::rows::MemoryRows;
use domain::schema::SEALING;
use domain::time::{Revision, Timestamp};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use platform::{Clock, Entropy};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::super::operation::Operation;
use super::super::pipeline::ClientAddress;
use super::super::router::assembled;
use super::super::{HttpMetrics, KeyUses, RestState};
use super::documented::{self, Asked};
use super::fleet::FakeFleet;
use super::ports::{Counting, HandClock};
use super::receivers::Receivers;
pub(super) use super::reply::Reply;
use super::reply::check_common;
use super::strangers;
use crate::control_plane::{
    BoxFuture, Consistency, ControlPlane, Member, MemberId, PeerError, PeerLimits, ProposeError,
    ReadError, Readiness, ViewVisitor,
};
use crate::keys::{KeyRing, Secret};
use crate::limits::{LimitMetrics, LimitParts, Limits};
use crate::sealing::KekRing;
use crate::settings::LimitSettings;

/// What goes wrong in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// Nothing is proposed, no read index is had.
    NoLeader,
    /// Commands are applied, but nobody hears of it.
    AnswersLost,
    /// Commands panic on the way, and reads that are to be fresh.
    Panics,
    /// Nothing is ever answered.
    Hangs,
    /// Commands are applied and answered when there is no trouble any more.
    Slow,
}

/// The replicated state machine in one process.
pub(super) struct MemoryControl {
    state: Mutex<(MemoryRows, Revision)>,
    trouble: watch::Sender<Trouble>,
    /// What comes between the next request's look-up of its caller and its read.
    meanwhile: Mutex<Option<Stamped>>,
    changes: watch::Sender<Revision>,
    pub(super) draining: AtomicBool,
    pub(super) barriers: AtomicU64,
    pub(super) reads: AtomicU64,
}

impl MemoryControl {
    fn new() -> Self {
        Self {
            state: Mutex::default(),
            trouble: watch::Sender::new(Trouble::None),
            meanwhile: Mutex::default(),
            changes: watch::Sender::new(Revision(0)),
            draining: AtomicBool::new(false),
            barriers: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        }
    }

    pub(super) fn apply(&self, stamped: &Stamped) -> Applied {
        let mut state = self.state.lock();
        let revision = Revision(state.1.0 + 1);
        let applied = machine::step(&mut state.0, revision, stamped);
        state.1 = revision;
        self.changes.send_replace(revision);
        applied
    }

    pub(super) fn environment(&self, name: &str) -> EnvironmentId {
        let state = self.state.lock();
        query::environment_by_name(&state.0, name).unwrap().id
    }

    fn trouble(&self) -> Trouble {
        *self.trouble.borrow()
    }

    /// Writes rows that no command makes.
    fn edit(&self, edit: impl FnOnce(&mut MemoryRows)) {
        edit(&mut self.state.lock().0);
    }

    /// Has secrets be sealed under the key that the node has.
    pub(super) fn seal_under_a_key(&self) {
        let active = keys().keks().wanted().unwrap();
        let since = Timestamp(0);
        self.edit(|rows| SEALING.put(rows, (), &Sealing { active, since }));
    }

    /// All rows as they are now.
    pub(super) fn rows(&self) -> MemoryRows {
        self.state.lock().0.clone()
    }

    pub(super) fn applied(&self) -> Revision {
        self.state.lock().1
    }
}

impl ControlPlane for MemoryControl {
    fn propose(&self, stamped: Stamped) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        Box::pin(async move {
            let trouble = self.trouble();
            match trouble {
                Trouble::Hangs => std::future::pending().await,
                Trouble::None => Ok(self.apply(&stamped)),
                Trouble::Slow => {
                    let mut trouble = self.trouble.subscribe();
                    let over = trouble.wait_for(|trouble| *trouble == Trouble::None).await;
                    over.unwrap();
                    Ok(self.apply(&stamped))
                }
                Trouble::NoLeader => Err(ProposeError::Unavailable {
                    retry_after_s: 2,
                    reason: "10.0.0.1 is silent".to_owned(),
                }),
                Trouble::AnswersLost => {
                    self.apply(&stamped);
                    Err(ProposeError::OutcomeUnknown {
                        reason: "10.0.0.1 went away".to_owned(),
                    })
                }
                Trouble::Panics => panic!("a secret place in /src"),
            }
        })
    }

    fn barrier(&self, consistency: Consistency) -> BoxFuture<'_, Result<Revision, ReadError>> {
        Box::pin(async move {
            let meanwhile = self.meanwhile.lock().take();
            if let Some(stamped) = meanwhile {
                self.apply(&stamped).reply.unwrap();
            }
            if consistency == Consistency::Linearizable {
                self.barriers.fetch_add(1, Ordering::Relaxed);
                let trouble = self.trouble();
                if trouble == Trouble::Hangs {
                    std::future::pending::<()>().await;
                }
                assert_ne!(trouble, Trouble::Panics, "a secret place in /src");
                if trouble == Trouble::NoLeader {
                    return Err(ReadError::Unavailable {
                        retry_after_s: 2,
                        reason: "10.0.0.1 is silent".to_owned(),
                    });
                }
            }
            Ok(self.applied())
        })
    }

    fn with_view(&self, visit: ViewVisitor<'_>) -> Result<Revision, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock();
        visit(&state.0);
        Ok(state.1)
    }

    fn access_changed(&self) -> Revision {
        // As if every entry changed it.
        self.applied()
    }

    fn members(&self) -> Vec<Member> {
        vec![self.this()]
    }

    fn this(&self) -> Member {
        Member {
            id: 1,
            region: "eu-central-1".to_owned(),
            internal: "127.0.0.1:7201".to_owned(),
            rest: "http://127.0.0.1:7101".to_owned(),
            publisher: "127.0.0.1:7301".to_owned(),
        }
    }

    fn leader(&self) -> Option<MemberId> {
        self.readiness().leader
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.changes.subscribe()
    }

    fn readiness(&self) -> Readiness {
        let leader = (self.trouble() != Trouble::NoLeader).then_some(1);
        Readiness {
            leader,
            leading: leader.is_some(),
            term: 3,
            applied: self.applied(),
            committed: self.applied(),
            last_contact: Some(std::time::Duration::from_millis(12)),
            draining: self.draining.load(Ordering::Relaxed),
        }
    }
}

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
        let control = Arc::new(MemoryControl::new());
        let clock = Arc::new(HandClock::new(START_MS));
        let entropy = Arc::new(Counting::default());
        let fleet = Arc::new(FakeFleet::default());
        let key_uses = KeyUses::default();
        let (keys, mut registry) = (keys(), Registry::default());
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
            keys: keys.clone(),
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
        let text = |(secret, _): (Secret, KeyHash)| secret.reveal().to_owned();
        let (live, test, stranger) = (text(live), text(test), text(stranger));
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

fn bootstrap(
    control: &MemoryControl,
    seed: &dyn Fn() -> Seed,
    live_key_id: &ApiKeyId,
    (live, test): (&KeyHash, &KeyHash),
    pepper_check: KeyHash,
) {
    let environment = |key_id, key_hash: &KeyHash| NewEnvironment {
        id: EnvironmentId::new(seed()),
        key_id,
        key_hash: *key_hash,
    };
    let command = Command::Bootstrap(Box::new(Bootstrap {
        org_id: OrgId::new(seed()),
        workspace_id: WorkspaceId::new(seed()),
        workspace_name: "main".to_owned(),
        plan: Plan::Enterprise,
        api_version: ApiVersion("2026-01-14".to_owned()),
        production: environment(live_key_id.clone(), live),
        sandbox: environment(ApiKeyId::new(seed()), test),
        pepper_check,
    }));
    let stamped = Stamped {
        at: Timestamp(START_MS),
        request_id: RequestId::new(seed()),
        idempotency: None,
        command,
        origin: Default::default(),
        precondition: None,
    };
    control.apply(&stamped).reply.unwrap();
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
