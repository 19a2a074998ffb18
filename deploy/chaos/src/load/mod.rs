//! The clients: many that create, rename and read rules at the same time through all nodes, trying again with the same
//! idempotency key until they know what happened. They write down all that they asked and were told.

mod client;
pub mod evidence;
mod oracle;
mod record;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;
use xtask::local::Name;
use xtask::local::files::uuid;

pub use client::Client;
pub use record::{Operation, Record, shown_by};

use self::evidence::Attempt;
use crate::client::Call;
use crate::town::{POLL, Town};

/// How long a change that prepares something may take, leader elections and all.
const PREPARED_WITHIN: Duration = Duration::from_secs(120);

/// How long clients may take to end what they have begun, once the faults are over.
const ENDED_WITHIN: Duration = Duration::from_secs(160);

/// The host that the published route serves.
pub const HOSTNAME: &str = "api.example.net";

/// How much the clients do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many there are.
    pub clients: usize,
    /// How long each rests after each operation.
    pub pause: Duration,
    /// How many of a hundred operations are reads.
    pub reads: u32,
    /// How many of a hundred changes create a rule; the others rename one.
    pub creations: u32,
    /// How many bytes a new rule has more than it needs.
    pub padding: usize,
    /// How long a client waits for an answer before it asks another node.
    pub patience: Duration,
    /// After how long a client gives an operation up, which is a violation: far beyond what any cluster needs that
    /// has a quorum.
    pub gives_up: Duration,
}

impl Default for Options {
    /// Twelve clients that ask some 300 times a second together, which leaves a machine of two cores room.
    fn default() -> Self {
        Self {
            clients: 12,
            pause: Duration::from_millis(30),
            reads: 35,
            creations: 67,
            padding: 0,
            patience: Duration::from_secs(2),
            gives_up: Duration::from_secs(150),
        }
    }
}

/// What all clients share.
pub struct Shared {
    options: Options,
    began: Instant,
    stop: AtomicBool,
    /// How many clients there are, those that scenarios added included.
    clients: AtomicUsize,
    /// The priority of the next rule.
    priorities: AtomicU32,
    attempts: Mutex<Vec<Attempt>>,
    operations: Mutex<Vec<Operation>>,
    rules: Mutex<Vec<String>>,
    unexpected: Mutex<Vec<String>>,
}

impl Shared {
    /// Microseconds since the load began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.us_at(Instant::now())
    }

    /// The same at another moment; 0 before.
    #[must_use]
    pub fn us_at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.began);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<Client>,
    routes: Vec<String>,
}

impl Load {
    /// Makes a route for each client and sets them to work.
    ///
    /// # Errors
    /// When the routes cannot be made.
    pub async fn start(town: &Arc<Town>) -> Result<Self> {
        Self::start_with(town, Options::default()).await
    }

    /// The same with other options.
    ///
    /// # Errors
    /// When the routes cannot be made.
    pub async fn start_with(town: &Arc<Town>, options: Options) -> Result<Self> {
        let upstream = make(town, "/v2/upstreams", &upstream()).await?;
        let mut routes = Vec::new();
        for number in 0..options.clients {
            let body = route(&format!("c{number}.example.net"), &upstream);
            routes.push(make(town, "/v2/routes", &body).await?);
        }
        let shared = Arc::new(Shared {
            options,
            began: Instant::now(),
            stop: AtomicBool::new(false),
            clients: AtomicUsize::new(options.clients),
            priorities: AtomicU32::new(10),
            attempts: Mutex::default(),
            operations: Mutex::default(),
            rules: Mutex::default(),
            unexpected: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for (number, route) in routes.iter().enumerate() {
            let client = Client::new(number, Arc::clone(town), Arc::clone(&shared), route.clone());
            tasks.spawn(client.work());
        }
        Ok(Self {
            shared,
            tasks,
            routes,
        })
    }

    /// What the clients share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Microseconds since the load began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.shared.now_us()
    }

    /// Another client, for a scenario's own hand; what it does is judged like the others' work.
    #[must_use]
    pub fn client(&self, town: &Arc<Town>) -> Client {
        let route = self.routes.first().cloned().unwrap_or_default();
        let number = self.shared.clients.fetch_add(1, Ordering::SeqCst);
        Client::new(number, Arc::clone(town), Arc::clone(&self.shared), route)
    }

    /// How many writes were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let operations = self.shared.operations.lock();
        operations
            .iter()
            .filter(|done| done.write && done.done)
            .count()
    }

    /// Waits until a write that was begun after now is acknowledged. Says how long that took.
    ///
    /// # Errors
    /// When none is in time.
    pub async fn next_write(&self, within: Duration) -> Result<Duration> {
        let began = Instant::now();
        let from = self.now_us();
        loop {
            let served = {
                let operations = self.shared.operations.lock();
                let mut newest = operations.iter().rev().take(200);
                newest.any(|done| done.write && done.done && done.began_us >= from)
            };
            if served {
                return Ok(began.elapsed());
            }
            if began.elapsed() > within {
                bail!(
                    "no write was acknowledged for {:.1} s",
                    within.as_secs_f64()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Has the clients end what they have begun, looks at what all nodes hold then, and judges. The faults are over by now, and
    /// all nodes run.
    ///
    /// # Errors
    /// When a node does not answer any more.
    pub async fn finish(mut self, town: &Arc<Town>) -> Result<Record> {
        self.shared.stop.store(true, Ordering::SeqCst);
        let ended = tokio::time::timeout(ENDED_WITHIN, async {
            while let Some(client) = self.tasks.join_next().await {
                client.context("a client panicked")?;
            }
            anyhow::Ok(())
        });
        let mut violations = Vec::new();
        match ended.await {
            Ok(ended) => ended?,
            Err(_) => violations.push(format!(
                "clients still wait for an answer {} s after the faults were over",
                ENDED_WITHIN.as_secs()
            )),
        }
        self.tasks.shutdown().await;
        let attempts = std::mem::take(&mut *self.shared.attempts.lock());
        let mut held = BTreeMap::new();
        for node in town.nodes() {
            held.insert(node.number, record::held_by(town, node).await?);
        }
        violations.append(&mut self.shared.unexpected.lock());
        let operations = std::mem::take(&mut *self.shared.operations.lock());
        Ok(Record::judge(attempts, held, operations, violations))
    }
}

/// Makes an object through any node, and gives its identifier.
///
/// # Errors
/// When the cluster refuses it, or takes too long.
pub async fn make(town: &Town, path: &str, body: &serde_json::Value) -> Result<String> {
    let made = change(town, &Call::post(path, body, &uuid()?)).await?;
    let id = made["id"].as_str();
    Ok(id.with_context(|| format!("{made} has no id"))?.to_owned())
}

/// Makes a change through any node, and gives the answer.
///
/// # Errors
/// When the cluster refuses it, or takes too long.
pub async fn change(town: &Town, call: &Call) -> Result<serde_json::Value> {
    let began = Instant::now();
    let nodes: Vec<Name> = town.nodes().collect();
    for node in nodes.iter().cycle() {
        let asked = town
            .target()
            .call(town.http(*node), call, Duration::from_secs(5))
            .await;
        match asked {
            Ok(answer) if answer.status.is_success() => return Ok(answer.json()),
            Ok(answer) if answer.status.is_client_error() && answer.status != 409 => {
                bail!("{call:?} gave {}: {}", answer.status, answer.json())
            }
            _ if began.elapsed() > PREPARED_WITHIN => bail!("{call:?} is not answered"),
            _ => tokio::time::sleep(POLL).await,
        }
    }
    bail!("there are no nodes")
}

/// An upstream that nothing is ever sent to.
pub(crate) fn upstream() -> serde_json::Value {
    json!({ "name": "nobody", "targets": [{ "address": "10.77.0.250", "port": 9, "weight": 1 }] })
}

/// A route for a host.
fn route(hostname: &str, upstream: &str) -> serde_json::Value {
    json!({
        "name": hostname,
        "hostname": hostname,
        "mode": "balanced",
        "config": { "upstreams": [{ "upstream_id": upstream, "weight": 1 }] },
    })
}

/// A route whose one rule answers everything with a text.
#[derive(Clone, Debug)]
pub struct Signpost {
    route: String,
    rule: String,
}

impl Signpost {
    /// Makes it, without publishing it.
    ///
    /// # Errors
    /// When the cluster does not take it.
    pub async fn make(town: &Town) -> Result<Self> {
        let upstream = make(town, "/v2/upstreams", &upstream()).await?;
        let route = make(town, "/v2/routes", &route(HOSTNAME, &upstream)).await?;
        let rule = json!({
            "route_id": route, "name": "signpost", "priority": 1, "match": {},
            "action": answer_with("nothing yet"),
        });
        let rule = make(town, "/v2/rules", &rule).await?;
        Ok(Self { route, rule })
    }

    /// Has it answer with another text, and publishes that.
    ///
    /// # Errors
    /// When the cluster does not take it.
    pub async fn publish(&self, town: &Town, text: &str) -> Result<()> {
        let action = json!({ "action": answer_with(text) });
        let path = format!("/v2/rules/{}", self.rule);
        change(town, &Call::patch(path, &action, &uuid()?)).await?;
        let path = format!("/v2/routes/{}/publish", self.route);
        change(town, &Call::post(path, &json!({}), &uuid()?)).await?;
        Ok(())
    }
}

fn answer_with(text: &str) -> serde_json::Value {
    json!({ "type": "fixed_response", "status": 200, "headers": { "content-type": "text/plain" }, "body": text })
}
