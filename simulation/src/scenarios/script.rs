//! What scripts are written with: asking nodes, cutting and mending links, ending processes, and
//! waiting until something is so.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use node::control_plane::ControlPlane as _;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::fail_points::Host;
use crate::history::{self, Effect, Environment, FaultSpan};
use crate::hosts;
use crate::http::{self, Failure, Response};
use crate::network::SimNetwork;
use crate::workload::{self, Shared};
use crate::world::Fleet;

/// How often it is looked whether what is waited for is so.
const LOOK: Duration = Duration::from_millis(20);

/// By when an answer is expected of a cluster that is whole.
const PATIENCE: Duration = Duration::from_secs(15);

/// The number of the key under which a script makes its own route.
const ROUTE_KEY: u64 = 1_000_000;

/// The hands of a script.
#[derive(Clone)]
pub struct Script {
    /// The processes.
    pub fleet: Fleet,
    /// What the clients share.
    pub shared: Shared,
    /// The script's own network.
    pub network: SimNetwork,
}

/// A request of a script.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    path: String,
    body: Option<Value>,
    key: Option<String>,
    api_key: Option<String>,
    stale: bool,
    deadline: Duration,
}

impl Ask {
    /// A read.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            body: None,
            key: None,
            api_key: None,
            stale: false,
            deadline: PATIENCE,
        }
    }

    /// A change under an idempotency key.
    pub fn change(method: &'static str, path: impl Into<String>, body: Value, key: &str) -> Self {
        Self {
            method,
            body: Some(body),
            key: Some(key.to_owned()),
            ..Self::get(path)
        }
    }

    /// Without a body.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.body = None;
        self
    }

    /// In the name of this API key.
    #[must_use]
    pub fn by(mut self, api_key: &str) -> Self {
        self.api_key = Some(api_key.to_owned());
        self
    }

    /// What the node has applied is enough.
    #[must_use]
    pub fn stale(mut self) -> Self {
        self.stale = true;
        self
    }

    /// Given up after so long.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl Script {
    /// An idempotency key: a UUID v4 that follows from its number.
    #[must_use]
    pub fn key(number: u64) -> String {
        format!("5c819700-0000-4000-8000-{number:012x}")
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.fleet.options().voters
    }

    /// All nodes but one, by index.
    #[must_use]
    pub fn others(&self, index: usize) -> Vec<usize> {
        (0..self.nodes()).filter(|other| *other != index).collect()
    }

    /// Waits until `holds`.
    ///
    /// # Errors
    /// When that takes longer than `most`.
    pub async fn until(
        &self,
        what: &str,
        most: Duration,
        mut holds: impl FnMut() -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + most;
        while !holds() {
            if Instant::now() > deadline {
                return Err(format!("within {most:?}: {what}"));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until a node has applied as much as `reached`.
    ///
    /// # Errors
    /// When that takes longer than `most`.
    pub async fn catches_up(
        &self,
        index: usize,
        reached: u64,
        most: Duration,
    ) -> Result<(), String> {
        let has_it_all = || {
            self.applied(index)
                .is_some_and(|applied| applied >= reached)
        };
        let what = format!("node {} has what the others have", index + 1);
        self.until(&what, most, has_it_all).await
    }

    /// Creates a rule, with a key and a priority of its number.
    ///
    /// # Errors
    /// When it is not created.
    pub async fn create(
        &self,
        node: usize,
        route: &str,
        name: &str,
        number: u64,
    ) -> Result<(), String> {
        let body = rule(route, name, number);
        let write = Ask::change("POST", "/v2/rules", body, &Self::key(number));
        self.done(node, &write).await.map(drop)
    }

    /// The node that leads, once one does and the others know.
    ///
    /// # Errors
    /// When none does for long.
    pub async fn leader(&self) -> Result<usize, String> {
        self.leader_among(&(0..self.nodes()).collect::<Vec<_>>())
            .await
    }

    /// The node of these that leads the others, once one does and they know.
    ///
    /// # Errors
    /// When none does for long.
    pub async fn leader_among(&self, nodes: &[usize]) -> Result<usize, String> {
        let mut leader = None;
        self.until("a leader", PATIENCE, || {
            leader = self.agreed(nodes);
            leader.is_some()
        })
        .await?;
        leader.ok_or_else(|| "there is no leader".to_owned())
    }

    /// The leader that all of these know, if it is one of them.
    fn agreed(&self, nodes: &[usize]) -> Option<usize> {
        let mut known = Vec::new();
        self.fleet.each_consensus(|index, consensus| {
            if nodes.contains(&index) {
                known.push(consensus.leader());
            }
        });
        let first = (*known.first()?)?;
        let agreed = known.len() == nodes.len() && known.iter().all(|it| *it == Some(first));
        let index = usize::try_from(first).ok()?.checked_sub(1)?;
        (agreed && nodes.contains(&index)).then_some(index)
    }

    /// Cuts a node off from these others, both ways.
    pub fn cut(&self, index: usize, others: &[usize]) {
        self.began(cut_off(index, others));
        for other in others {
            turmoil::partition(hosts::node(index), hosts::node(*other));
        }
    }

    /// Mends what was cut between a node and these others.
    pub fn mend(&self, index: usize, others: &[usize]) {
        for other in others {
            turmoil::repair(hosts::node(index), hosts::node(*other));
        }
        self.ended(&cut_off(index, others));
    }

    /// What the first sends does not reach the second any more.
    pub fn cut_one_way(&self, from: usize, to: usize) {
        self.began(Effect::CutOneWay(host(from), host(to)));
        turmoil::partition_oneway(hosts::node(from), hosts::node(to));
    }

    /// What the first sends reaches the second again.
    pub fn mend_one_way(&self, from: usize, to: usize) {
        turmoil::repair_oneway(hosts::node(from), hosts::node(to));
        self.ended(&Effect::CutOneWay(host(from), host(to)));
    }

    /// Cuts an edge off from these nodes, both ways.
    pub fn cut_edge(&self, edge: usize, nodes: &[usize]) {
        self.began(edge_cut_off(edge, nodes));
        for node in nodes {
            turmoil::partition(hosts::edge(edge), hosts::node(*node));
        }
    }

    /// Mends what was cut between an edge and these nodes.
    pub fn mend_edge(&self, edge: usize, nodes: &[usize]) {
        for node in nodes {
            turmoil::repair(hosts::edge(edge), hosts::node(*node));
        }
        self.ended(&edge_cut_off(edge, nodes));
    }

    /// What an edge answers to a request, as a body of 200; nothing where it answers otherwise.
    pub async fn served(&self, edge: usize, hostname: &str, path: &str) -> Option<String> {
        let probe = workload::probe_once(edge, &self.network, hostname, path).await;
        (probe.status == Some(200)).then_some(probe.body)
    }

    /// From now on nothing arrives between a node and these others, and nothing is lost: to them it
    /// stands still.
    pub fn hold(&self, index: usize, others: &[usize]) {
        self.began(Effect::Paused(vec![host(index)]));
        for other in others {
            turmoil::hold(hosts::node(index), hosts::node(*other));
        }
    }

    /// What was held arrives.
    pub fn release(&self, index: usize, others: &[usize]) {
        for other in others {
            turmoil::release(hosts::node(index), hosts::node(*other));
        }
        self.ended(&Effect::Paused(vec![host(index)]));
    }

    /// A node's machine loses power; it starts again by itself a little later.
    pub fn crash(&self, index: usize) {
        self.tell(&format!("node {} loses power", index + 1));
        self.fleet.fail_points().doom(Host::Node(index));
    }

    /// Writes a line into the story of the run.
    pub fn tell(&self, line: &str) {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let line = format!("{:10.3} s script: {line}", now.as_secs_f64());
        self.shared.history.lock().story.push(line);
    }

    /// Notes for the checks what the script does to nodes.
    pub(super) fn began(&self, effect: Effect) {
        self.tell(&format!("{effect:?}"));
        self.shared.history.lock().faults.push(FaultSpan {
            kind: "script",
            effect,
            began_us: workload::now_us(),
            ended_us: None,
        });
    }

    /// Notes that it is over.
    pub(super) fn ended(&self, effect: &Effect) {
        self.tell(&format!("over: {effect:?}"));
        let mut history = self.shared.history.lock();
        let spans = history.faults.iter_mut().rev();
        if let Some(span) = spans.into_iter().find(|span| span.effect == *effect) {
            span.ended_us = Some(workload::now_us());
        }
    }

    /// How far a node has applied, if it runs.
    #[must_use]
    pub fn applied(&self, index: usize) -> Option<u64> {
        let mut applied = None;
        self.fleet.each_consensus(|other, consensus| {
            if other == index {
                applied = Some(consensus.readiness().applied.0);
            }
        });
        applied
    }

    /// Asks a node.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&self, node: usize, ask: &Ask) -> Result<Response, Failure> {
        let host = hosts::node(node);
        let first = {
            let keys = self.shared.api_keys.lock();
            keys.get(&Environment::Production).cloned()
        };
        let api_key = ask.api_key.clone().or(first).unwrap_or_default();
        let mut request = ::http::Request::builder()
            .method(ask.method)
            .uri(&ask.path)
            .header("host", &host)
            .header("authorization", format!("Bearer {api_key}"));
        if ask.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(key) = &ask.key {
            self.shared.history.lock().scripted.insert(key.clone());
            request = request.header("idempotency-key", key);
        }
        if ask.stale {
            request = request.header("vectorgate-consistency", "stale");
        }
        let body = ask.body.as_ref().map(Value::to_string).unwrap_or_default();
        let Ok(request) = request.body(Full::new(Bytes::from(body))) else {
            return Err(Failure::NotSent);
        };
        http::send(&self.network, &format!("{host}:80"), request, ask.deadline).await
    }

    /// Asks a node until it is done, and gives the body.
    ///
    /// # Errors
    /// When it is refused, or not done for long.
    pub async fn done(&self, node: usize, ask: &Ask) -> Result<Value, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ask(node, ask).await {
                Ok(response) if (200..300).contains(&response.status) => {
                    return serde_json::from_str(&response.body).or(Ok(Value::Null));
                }
                Ok(response) if !is_passing(response.status) => {
                    return Err(format!("{ask:?} was refused: {}", response.body));
                }
                other if Instant::now() > deadline => {
                    return Err(format!(
                        "{ask:?} was not done within {PATIENCE:?}: {other:?}"
                    ));
                }
                _ => sleep(LOOK * 10).await,
            }
        }
    }

    /// Asks a node until the outcome is known, and gives the answer: done, or refused for good.
    ///
    /// # Errors
    /// When it is not known for long.
    pub async fn known(&self, node: usize, ask: &Ask) -> Result<Response, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ask(node, ask).await {
                Ok(response) if !is_passing(response.status) => return Ok(response),
                other if Instant::now() > deadline => {
                    return Err(format!(
                        "the outcome of {ask:?} was not known within {PATIENCE:?}: {other:?}"
                    ));
                }
                _ => sleep(LOOK * 10).await,
            }
        }
    }

    /// Waits until the clients have made and published all that they work on.
    ///
    /// # Errors
    /// When that takes long.
    pub async fn prepared(&self) -> Result<(), String> {
        let shared = self.shared.clone();
        self.until("the clients are prepared", PATIENCE, || {
            shared.is_prepared()
        })
        .await
    }

    /// Makes a route of the script's own, which no client changes, and gives its identifier.
    ///
    /// # Errors
    /// When it is not made.
    pub async fn own_route(&self, hostname: &str) -> Result<String, String> {
        self.prepared().await?;
        let leader = self.leader().await?;
        let page = self
            .done(leader, &Ask::get("/v2/upstreams?limit=1"))
            .await?;
        let body = serde_json::json!({
            "name": hostname, "hostname": hostname, "mode": "balanced",
            "config": {"upstreams": [{"upstream_id": page["data"][0]["id"], "weight": 1}]},
        });
        let ask = Ask::change("POST", "/v2/routes", body, &Self::key(ROUTE_KEY));
        id_of(&self.done(leader, &ask).await?)
    }

    /// A route of production's that the clients work on, once there is one.
    ///
    /// # Errors
    /// When there is none for long.
    pub async fn route(&self) -> Result<String, String> {
        let leader = self.leader().await?;
        let page = self.done(leader, &Ask::get("/v2/routes?limit=1")).await?;
        let id = page["data"][0]["id"].as_str();
        id.map(str::to_owned)
            .ok_or_else(|| format!("there is no route: {page}"))
    }
}

fn host(index: usize) -> history::Host {
    history::Host::Node(index + 1)
}

fn edge_cut_off(edge: usize, nodes: &[usize]) -> Effect {
    let links = nodes
        .iter()
        .map(|node| (history::Host::Edge(edge), host(*node)));
    Effect::Cut(links.collect())
}

fn cut_off(index: usize, others: &[usize]) -> Effect {
    Effect::Cut(
        others
            .iter()
            .map(|other| (host(index), host(*other)))
            .collect(),
    )
}

/// Whether the same may be done a little later.
fn is_passing(status: u16) -> bool {
    status >= 500 || status == 429 || status == 408 || status == 409
}

/// What is made of a rule that matches nothing, at a priority of the scripts' own.
#[must_use]
pub(super) fn rule(route: &str, name: &str, number: u64) -> Value {
    serde_json::json!({
        "route_id": route, "name": name, "priority": 900_000 + number,
        "match": {"path": "/never", "header": {"x-rule": name}},
        "action": {"type": "fixed_response", "status": 204, "headers": {}, "body": ""},
    })
}

/// An identifier out of a body.
///
/// # Errors
/// When there is none.
pub(super) fn id_of(body: &Value) -> Result<String, String> {
    let id = body["id"].as_str();
    id.map(str::to_owned)
        .ok_or_else(|| format!("no identifier in {body}"))
}
