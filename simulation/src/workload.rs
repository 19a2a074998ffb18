//! What clients do: create, rename and read rules, publish and roll back, through random nodes,
//! trying again with the same idempotency key until they know what happened; and request traffic
//! from the edges. They record everything in the history.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use turmoil::net::TcpListener;

use crate::faults;
use crate::history::{Answer, Attempt, Call, History, Probe};
use crate::http::{self, Failure, Response};
use crate::network::SimNetwork;
use crate::options::NODES;

/// The hostname that the simulated route serves.
pub const HOSTNAME: &str = "api.example.net";
/// Where the origin listens.
const ORIGIN_PORT: u16 = 80;
/// How long a client waits for one answer: longer than any server-side deadline would be
/// politeness; shorter makes unknown outcomes, which is the point.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
/// Pause between two attempts at the same thing.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What all clients share.
#[derive(Clone)]
pub struct Shared {
    /// Where everything is recorded.
    pub history: Arc<Mutex<History>>,
    /// The key that the API wants, once the cluster was bootstrapped.
    pub api_key: Arc<Mutex<Option<String>>>,
    /// The route, its marker rule, once they were made.
    pub scene: Arc<Mutex<Option<Scene>>>,
    /// Rules that exist, for renames and reads.
    pub rules: Arc<Mutex<Vec<String>>>,
    /// Whether faults are over and clients should finish what they began.
    pub winding_up: Arc<Mutex<bool>>,
}

/// What the first client prepared for all.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The route that all rules are made on.
    pub route: String,
    /// The rule that answers traffic with the newest token.
    pub marker: String,
}

/// One client.
pub struct Client {
    index: usize,
    network: SimNetwork,
    rng: ChaCha8Rng,
    shared: Shared,
    priority: u32,
}

/// What one attempt is made of.
struct Request {
    method: &'static str,
    path: String,
    body: Option<Value>,
    key: Option<String>,
    call: Call,
}

impl Client {
    /// A client with a random stream of its own.
    #[must_use]
    pub fn new(index: usize, seed: u64, network: SimNetwork, shared: Shared) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(
            seed ^ (0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 1)),
        );
        // Each client has a range of priorities of its own, so that none is taken twice.
        let priority = 1_000 + 100_000 * u32::try_from(index).unwrap_or_default();
        Self {
            index,
            network,
            rng,
            shared,
            priority,
        }
    }

    /// Makes the route and the marker rule and publishes them, whatever it takes.
    pub async fn prepare(&mut self) {
        self.wait_for_key().await;
        let route = json!({"name": "api", "hostname": HOSTNAME, "mode": "balanced", "config": {"upstreams": [
            {"upstream_id": self.make("upstreams", json!({
                "name": "origin",
                "targets": [{"address": faults::ORIGIN, "port": ORIGIN_PORT, "weight": 1}],
                "health_check": {"type": "tcp", "interval_s": 5, "timeout_s": 1,
                    "healthy_threshold": 1, "unhealthy_threshold": 1},
            })).await, "weight": 1}]}});
        let route = self.make("routes", route).await;
        let marker = json!({
            "route_id": route, "name": "marker", "priority": 1, "match": {},
            "action": marker_action("token-0"),
        });
        let marker = self.make("rules", marker).await;
        self.shared
            .history
            .lock()
            .tokens
            .insert("token-0".to_owned());
        *self.shared.scene.lock() = Some(Scene {
            route: route.clone(),
            marker,
        });
        let key = self.key();
        self.until_known(|| Request {
            method: "POST",
            path: format!("/v2/routes/{route}/publish"),
            body: Some(json!({})),
            key: Some(key.clone()),
            call: Call::Publish {
                key: key.clone(),
                token: "token-0".to_owned(),
            },
        })
        .await;
    }

    /// Works until the faults are over.
    pub async fn work(&mut self) {
        let scene = loop {
            if let Some(scene) = self.shared.scene.lock().clone() {
                break scene;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        };
        while !*self.shared.winding_up.lock() {
            self.step(&scene).await;
            let pause = Duration::from_millis(self.rng.random_range(5..=120));
            tokio::time::sleep(pause).await;
        }
    }

    async fn step(&mut self, scene: &Scene) {
        match self.rng.random_range(0..100) {
            0..35 => self.create(scene).await,
            35..55 => self.rename().await,
            55..88 => self.read().await,
            88..97 => self.publish(scene).await,
            _ => self.roll_back(scene).await,
        }
    }

    /// Ten writes and ten reads, all of which must come through: the cluster is whole again.
    pub async fn prove_liveness(&mut self) {
        let Some(scene) = self.shared.scene.lock().clone() else {
            return;
        };
        for _ in 0..10 {
            self.create(&scene).await;
            self.read().await;
        }
        self.publish(&scene).await;
    }

    async fn create(&mut self, scene: &Scene) {
        self.priority += 1;
        let (key, priority, route) = (self.key(), self.priority, scene.route.clone());
        let answer = self
            .until_known(|| Request {
                method: "POST",
                path: "/v2/rules".to_owned(),
                body: Some(json!({
                    "route_id": route, "name": key, "priority": priority,
                    "match": {"path": "/never", "header": {"x-rule": key}},
                    "action": {"type": "fixed_response", "status": 204, "headers": {}, "body": ""},
                    "metadata": {"key": key},
                })),
                key: Some(key.clone()),
                call: Call::Create { key: key.clone() },
            })
            .await;
        if let Answer::Done {
            rule: Some((id, _)),
            ..
        } = answer
        {
            self.shared.rules.lock().push(id);
        }
    }

    async fn rename(&mut self) {
        let Some(rule) = self.any_rule() else { return };
        let key = self.key();
        self.until_known(|| Request {
            method: "PATCH",
            path: format!("/v2/rules/{rule}"),
            body: Some(json!({"name": key})),
            key: Some(key.clone()),
            call: Call::Rename {
                key: key.clone(),
                rule: rule.clone(),
                name: key.clone(),
            },
        })
        .await;
    }

    async fn read(&mut self) {
        let Some(rule) = self.any_rule() else { return };
        let request = Request {
            method: "GET",
            path: format!("/v2/rules/{rule}"),
            body: None,
            key: None,
            call: Call::Read { rule },
        };
        self.attempt(request).await;
    }

    async fn publish(&mut self, scene: &Scene) {
        let (key, token) = (self.key(), format!("token-{}", self.key()));
        self.shared.history.lock().tokens.insert(token.clone());
        let (marker, action) = (scene.marker.clone(), marker_action(&token));
        let edit_key = self.key();
        self.until_known(|| Request {
            method: "PATCH",
            path: format!("/v2/rules/{marker}"),
            body: Some(json!({"action": action})),
            key: Some(edit_key.clone()),
            call: Call::Publish {
                key: edit_key.clone(),
                token: token.clone(),
            },
        })
        .await;
        let route = scene.route.clone();
        self.until_known(|| Request {
            method: "POST",
            path: format!("/v2/routes/{route}/publish"),
            body: Some(json!({})),
            key: Some(key.clone()),
            call: Call::Publish {
                key: key.clone(),
                token: token.clone(),
            },
        })
        .await;
    }

    async fn roll_back(&mut self, scene: &Scene) {
        let (key, route) = (self.key(), scene.route.clone());
        self.until_known(|| Request {
            method: "POST",
            path: format!("/v2/routes/{route}/rollback"),
            body: Some(json!({"steps": 1})),
            key: Some(key.clone()),
            call: Call::Rollback { key: key.clone() },
        })
        .await;
    }

    /// Creates an object through random nodes until it is there, and gives its identifier.
    async fn make(&mut self, collection: &str, body: Value) -> String {
        let key = self.key();
        loop {
            let node = self.any_node();
            let answered = self
                .send(
                    node,
                    "POST",
                    &format!("/v2/{collection}"),
                    Some(&body),
                    Some(&key),
                )
                .await;
            if let Ok(response) = answered
                && response.status == 201
                && let Some(id) = id_of(&response.body)
            {
                return id;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Tries until the outcome is known, through another random node each time.
    async fn until_known(&mut self, request: impl Fn() -> Request) -> Answer {
        loop {
            let answer = self.attempt(request()).await;
            match answer {
                Answer::Done { .. } | Answer::Refused { .. } => return answer,
                Answer::Unavailable | Answer::Unknown => {}
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn attempt(&mut self, request: Request) -> Answer {
        let node = self.any_node();
        let sent_us = now_us();
        let answered = self
            .send(
                node,
                request.method,
                &request.path,
                request.body.as_ref(),
                request.key.as_deref(),
            )
            .await;
        let answer = classify(answered);
        let attempt = Attempt {
            client: self.index,
            node: node + 1,
            call: request.call,
            sent_us,
            ended_us: now_us(),
            answer: answer.clone(),
        };
        self.shared.history.lock().attempts.push(attempt);
        answer
    }

    async fn send(
        &mut self,
        node: usize,
        method: &str,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Response, Failure> {
        let api_key = self.shared.api_key.lock().clone().unwrap_or_default();
        let mut request = ::http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", format!("node-{}", node + 1))
            .header("authorization", format!("Bearer {api_key}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let Ok(request) = request.body(Full::new(Bytes::from(body))) else {
            return Err(Failure::NotSent);
        };
        http::send(
            &self.network,
            &format!("node-{}:80", node + 1),
            request,
            ANSWER_DEADLINE,
        )
        .await
    }

    async fn wait_for_key(&self) {
        while self.shared.api_key.lock().is_none() {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn any_node(&mut self) -> usize {
        self.rng.random_range(0..NODES)
    }

    fn any_rule(&mut self) -> Option<String> {
        let rules = self.shared.rules.lock();
        if rules.is_empty() {
            return None;
        }
        // The newest rules get most of the attention, so that reads and renames meet.
        let newest = rules.len().saturating_sub(8);
        Some(rules[self.rng.random_range(newest..rules.len())].clone())
    }

    /// A new idempotency key: a UUID v4.
    fn key(&mut self) -> String {
        let bits: u128 = self.rng.random();
        let bits = (bits & !(0xf << 76 | 0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }
}

/// The origin: it accepts connections, which is all that edges want to know of it.
///
/// # Errors
/// When its port is taken.
pub async fn origin() -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, ORIGIN_PORT)).await?;
    loop {
        drop(listener.accept().await?);
    }
}

/// Requests traffic from an edge, again and again.
pub async fn probe(edge: usize, network: SimNetwork, shared: Shared) {
    while !*shared.winding_up.lock() {
        let probe = probe_once(edge, &network).await;
        shared.history.lock().probes.push(probe);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One request to an edge.
pub async fn probe_once(edge: usize, network: &SimNetwork) -> Probe {
    let request = ::http::Request::builder()
        .uri("/")
        .header("host", HOSTNAME)
        .body(Full::new(Bytes::new()));
    let answered = match request {
        Ok(request) => {
            http::send(
                network,
                &format!("edge-{}:80", edge + 1),
                request,
                ANSWER_DEADLINE,
            )
            .await
        }
        Err(_) => Err(Failure::NotSent),
    };
    let (status, body) = match answered {
        Ok(response) => (Some(response.status), response.body),
        Err(_) => (None, String::new()),
    };
    Probe {
        edge,
        at_us: now_us(),
        status,
        body,
    }
}

/// Simulated microseconds since the run began.
#[must_use]
pub fn now_us() -> u64 {
    u64::try_from(turmoil::sim_elapsed().unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// The action of the marker rule: it answers with `token`.
fn marker_action(token: &str) -> Value {
    json!({"type": "fixed_response", "status": 200, "headers": {"content-type": "text/plain"}, "body": token})
}

fn classify(answered: Result<Response, Failure>) -> Answer {
    let response = match answered {
        Ok(response) => response,
        Err(Failure::NotSent) => return Answer::Unavailable,
        Err(Failure::NoAnswer) => return Answer::Unknown,
    };
    let code = error_code(&response.body);
    match response.status {
        200..300 => {
            let revision = response
                .header("vectorgate-revision")
                .and_then(|text| text.parse().ok());
            let Some(revision) = revision else {
                return Answer::Unknown;
            };
            Answer::Done {
                revision,
                replayed: response.header("idempotent-replayed").is_some(),
                rule: rule_of(&response.body),
                body: response.body,
            }
        }
        400..500 => Answer::Refused {
            status: response.status,
            code,
        },
        503 if code == "cluster_unavailable" => Answer::Unavailable,
        _ => Answer::Unknown,
    }
}

fn fields(body: &str) -> BTreeMap<String, Value> {
    serde_json::from_str(body).unwrap_or_default()
}

fn id_of(body: &str) -> Option<String> {
    Some(fields(body).get("id")?.as_str()?.to_owned())
}

fn rule_of(body: &str) -> Option<(String, String)> {
    let fields = fields(body);
    if fields.get("object")?.as_str()? != "rule" {
        return None;
    }
    Some((
        fields.get("id")?.as_str()?.to_owned(),
        fields.get("name")?.as_str()?.to_owned(),
    ))
}

fn error_code(body: &str) -> String {
    fields(body)
        .get("error")
        .and_then(|error| error.get("code"))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
