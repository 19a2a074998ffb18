//! Webhooks whose sender dies.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use xtask::local::Name;

use super::{Stage, millis, rest, seconds};
use crate::findings::Findings;
use crate::load::evidence::{Answer, Asked};
use crate::load::{Load, Options, Record, make};
use crate::machine::namespaces::CLIENT_ADDRESS;
use crate::town::{POLL, READY_WITHIN, Town};

/// Where the receiver listens, on the client's host.
const PORT: u16 = 9000;

/// How long events should take to arrive once all nodes are back: one failed attempt is made up for in a second, two in half a
/// minute.
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);

/// A third one is made up for in five minutes. What has not arrived by then is lost.
const LOST_AFTER: Duration = Duration::from_secs(400);

/// P23: the leader, which sends, dies when the receiver has what it sent.
pub(super) async fn sender(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let receiver = Receiver::start(&town).await?;
    let endpoint = json!({
        "url": format!("http://{CLIENT_ADDRESS}:{PORT}/hook"),
        "enabled_events": ["rule.created"],
    });
    make(&town, "/v2/webhook_endpoints", &endpoint).await?;
    let options = Options {
        clients: 4,
        creations: 100,
        ..Options::default()
    };
    let load = Load::start_with(&town, options).await?;
    let terms_before = term(&town).await?;
    let mut kills = Vec::new();
    for number in 1..=stage.choose(4, 200) {
        rest(millis(700)).await;
        let answer_first = number % 2 == 0;
        let killed = receiver.kill_next_sender(answer_first).await?;
        kills.push(load.now_us());
        load.next_write(READY_WITHIN).await?;
        town.start(killed)?;
        town.wait_ready(killed, READY_WITHIN).await?;
        stage.say(format_args!("kill {number}: {killed}, which was sending"));
    }
    rest(millis(500)).await;
    let record = load.finish(&town).await?;
    let elections = term(&town).await?.saturating_sub(terms_before);
    let (took, missing) = receiver.wait_for(&created(&record)).await;
    let mut findings = Findings::of(&record, &kills);
    findings.gaps_at_most(seconds(3));
    findings.demand(missing.is_empty(), || {
        format!("no event arrived of {} rules: {missing:?}", missing.len())
    });
    let received = receiver.received();
    let doubled = received.len() - distinct(&received).len();
    findings.figure("events received", received.len());
    findings.figure("of them received before", doubled);
    findings.at_most("the last one came after", took, ARRIVED_WITHIN);
    findings
        .violations
        .extend(judge(&received, &record, &receiver.kills(), elections));
    // None doubled would mean that no kill ever hit between sending and writing down.
    findings.demand(doubled > 0, || {
        "no kill came between sending and writing down".to_owned()
    });
    Ok(findings)
}

async fn term(town: &Town) -> Result<u64> {
    town.leader().await?;
    let leader = town.current_leader().await;
    Ok(leader.map_or(0, |(_, standing)| standing.term))
}

/// The rules that were acknowledged to be created.
fn created(record: &Record) -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    for attempt in &record.attempts {
        if let (Asked::Create { .. }, Answer::Done(done)) = (&attempt.asked, &attempt.answer)
            && let Some(rule) = &done.rule
        {
            rules.insert(rule.id.clone());
        }
    }
    rules
}

/// An event that arrived.
#[derive(Clone, Debug)]
struct Received {
    event: String,
    rule: String,
    at: Instant,
}

fn distinct(received: &[Received]) -> BTreeSet<&str> {
    received
        .iter()
        .map(|received| received.event.as_str())
        .collect()
}

/// What must not be: an event under two ids, of a rule that does not exist, or once more without a change of leader.
fn judge(received: &[Received], record: &Record, kills: &[Instant], elections: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
    let mut times: BTreeMap<&str, Vec<Instant>> = BTreeMap::new();
    for one in received {
        let id = *ids.entry(&one.rule).or_insert(&one.event);
        if id != one.event {
            wrong.push(format!(
                "the creation of {} came as {id} and as {}",
                one.rule, one.event
            ));
        }
        times.entry(&one.event).or_default().push(one.at);
    }
    // Elections that nobody was killed for change the leader, too.
    let unexplained = usize::try_from(elections)
        .unwrap_or(usize::MAX)
        .saturating_sub(kills.len());
    for (event, times) in times {
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
            continue;
        };
        let changes = kills
            .iter()
            .filter(|kill| (first..=last).contains(kill))
            .count();
        if times.len() - 1 > changes + unexplained {
            wrong.push(format!(
                "{event} came {} times, with {changes} changes of leader in between",
                times.len()
            ));
        }
    }
    let held = record.held.values().next();
    let rules: BTreeSet<&str> = held
        .into_iter()
        .flat_map(|held| held.rules.iter().map(|rule| rule.id.as_str()))
        .collect();
    let unheard_of = ids.keys().filter(|rule| !rules.contains(**rule));
    wrong.extend(unheard_of.map(|rule| format!("an event tells of {rule}, which was never made")));
    wrong
}

/// Receives events, and kills who sends them when it is told to.
struct Receiver {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    town: Arc<Town>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// Whether the next sender is to be killed, and if so, whether it is answered before.
    armed: Option<bool>,
    killed: Option<Name>,
    kills: Vec<Instant>,
}

impl Receiver {
    async fn start(town: &Arc<Town>) -> Result<Self> {
        let address = SocketAddr::from((CLIENT_ADDRESS, PORT));
        let listener = TcpListener::bind(address)
            .await
            .context("the receiver's port")?;
        let shared = Arc::new(Shared {
            town: Arc::clone(town),
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(&shared, peer, request));
                    // A sender that is killed breaks its connection.
                    drop(
                        http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Ok(Self { shared, task })
    }

    /// Kills whoever sends next, and says who that was.
    async fn kill_next_sender(&self, answer_first: bool) -> Result<Name> {
        {
            let mut state = self.shared.state.lock();
            state.killed = None;
            state.armed = Some(answer_first);
        }
        let began = Instant::now();
        loop {
            if let Some(killed) = self.shared.state.lock().killed {
                return Ok(killed);
            }
            anyhow::ensure!(began.elapsed() < READY_WITHIN, "no event comes any more");
            tokio::time::sleep(POLL).await;
        }
    }

    fn received(&self) -> Vec<Received> {
        self.shared.state.lock().received.clone()
    }

    fn kills(&self) -> Vec<Instant> {
        self.shared.state.lock().kills.clone()
    }

    /// Waits until the creation of all these rules was told of. Says how long that took, and which are missing in the end.
    async fn wait_for(&self, rules: &BTreeSet<String>) -> (Duration, Vec<String>) {
        let began = Instant::now();
        loop {
            let told: BTreeSet<String> = {
                let state = self.shared.state.lock();
                state.received.iter().map(|one| one.rule.clone()).collect()
            };
            let missing: Vec<String> = rules.difference(&told).cloned().collect();
            if missing.is_empty() || began.elapsed() > LOST_AFTER {
                return (began.elapsed(), missing);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let body = request.into_body().collect().await;
    let event: Value = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body.to_bytes()).ok())
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let armed = {
        let mut state = shared.state.lock();
        state.received.push(Received {
            event: text(&event["id"]),
            rule: text(&event["data"]["rule_id"]),
            at: Instant::now(),
        });
        state.armed.take()
    };
    match armed {
        Some(false) => shared.kill(peer),
        Some(true) => {
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                // The answer is on its way by then, and what it says most likely not yet written down.
                tokio::time::sleep(Duration::from_millis(2)).await;
                shared.kill(peer);
            });
        }
        None => {}
    }
    Ok(Response::new(Empty::new()))
}

impl Shared {
    /// Kills the node at the other end of a connection.
    fn kill(&self, peer: SocketAddr) {
        let sender = self
            .town
            .nodes()
            .find(|node| IpAddr::V4(node.host()) == peer.ip());
        let Some(sender) = sender else { return };
        if self.town.kill(sender).is_ok() {
            let mut state = self.state.lock();
            state.kills.push(Instant::now());
            state.killed = Some(sender);
        }
    }
}
