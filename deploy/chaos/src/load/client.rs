//! One client. It stays with a node as long as that answers, and asks the next one with the same
//! idempotency key when it does not, or does not know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tokio::time::timeout;
use xtask::local::Name;

use super::evidence::{Answer, Asked, Attempt, Done, Rule};
use super::{Operation, Shared};
use crate::client::{Answer as Reply, Call, Connection, Failure};
use crate::town::Town;

/// Between two attempts at the same thing, so that a cluster without a leader is not flooded.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// In so many of a thousand operations a client goes to another node without a reason, so that nodes that come back are
/// asked, too.
const WANDERS: u32 = 10;

/// Reads and renames meet at the newest rules.
const NEWEST: usize = 24;

/// A client.
pub struct Client {
    number: usize,
    town: Arc<Town>,
    shared: Arc<Shared>,
    rng: ChaCha8Rng,
    /// The node that it asks next.
    at: Name,
    connections: BTreeMap<Name, Connection>,
    route: String,
}

/// One thing that is asked, as often as it takes.
struct Wanted {
    asked: Asked,
    call: Call,
}

impl Client {
    pub(super) fn new(number: usize, town: Arc<Town>, shared: Arc<Shared>, route: String) -> Self {
        let nodes: Vec<Name> = town.nodes().collect();
        Self {
            number,
            shared,
            rng: ChaCha8Rng::seed_from_u64(number as u64),
            at: nodes[number % nodes.len()],
            town,
            connections: BTreeMap::new(),
            route,
        }
    }

    /// Works until it is told to stop, and ends what it has begun.
    pub(super) async fn work(mut self) -> Self {
        while !self.shared.stop.load(Ordering::SeqCst) {
            if self.rng.random_range(0..1000) < WANDERS {
                let nodes: Vec<Name> = self.town.nodes().collect();
                self.at = nodes[self.rng.random_range(0..nodes.len())];
            }
            self.step().await;
            tokio::time::sleep(self.shared.options.pause).await;
        }
        self
    }

    async fn step(&mut self) {
        let options = self.shared.options;
        let is_read = self.rng.random_range(0..100) < options.reads;
        let creates = self.rng.random_range(0..100) < options.creations;
        match self.any_rule() {
            Some(rule) if is_read => self.read(&rule).await,
            Some(rule) if !creates => self.rename(&rule).await,
            _ => {
                self.create().await;
            }
        }
    }

    /// Creates a rule, and gives its identifier unless that failed.
    pub async fn create(&mut self) -> Option<String> {
        let wanted = self.creation();
        let answer = self.until_known(&wanted, true).await;
        let Answer::Done(Done { rule, .. }) = answer else {
            return None;
        };
        let id = rule?.id;
        self.shared.rules.lock().push(id.clone());
        Some(id)
    }

    /// A rule that is to be made.
    fn creation(&mut self) -> Wanted {
        let key = self.key();
        // Clients may share a route, on which no two rules have the same.
        let priority = self.shared.priorities.fetch_add(1, Ordering::SeqCst);
        let body = json!({
            "route_id": self.route, "name": key, "priority": priority,
            "match": { "path": format!("/{key}") },
            "action": {
                "type": "fixed_response", "status": 200, "headers": {},
                "body": "x".repeat(self.shared.options.padding),
            },
            "metadata": { "key": key },
        });
        Wanted {
            call: Call::post("/v2/rules", &body, &key),
            asked: Asked::Create { key },
        }
    }

    /// Gives a rule a name that no other write uses.
    pub async fn rename(&mut self, rule: &str) {
        let key = self.key();
        let wanted = Wanted {
            call: Call::patch(format!("/v2/rules/{rule}"), &json!({ "name": key }), &key),
            asked: Asked::Rename {
                name: key.clone(),
                key,
                rule: rule.to_owned(),
            },
        };
        self.until_known(&wanted, true).await;
    }

    /// Reads a rule.
    pub async fn read(&mut self, rule: &str) {
        self.until_known(&reading(rule), false).await;
    }

    /// Reads a rule at this node, once, whatever comes of it.
    pub async fn read_at(&mut self, node: Name, rule: &str) -> Answer {
        self.go_to(node);
        self.attempt(&reading(rule)).await
    }

    /// From now on it asks this node first.
    pub fn go_to(&mut self, node: Name) {
        self.at = node;
    }

    /// From now on it asks the node after this one, of those that there are now.
    fn go_on(&mut self) {
        let mut later = self.town.nodes().filter(|node| *node > self.at);
        self.at = later
            .next()
            .or_else(|| self.town.nodes().next())
            .unwrap_or(self.at);
    }

    /// Opens its connection to a node, if that accepts.
    pub async fn connect(&mut self, node: Name) {
        let connected = self.town.target().connect(self.town.http(node)).await;
        if let Ok(connection) = connected {
            self.connections.insert(node, connection);
        }
    }

    /// A rule that others work on as well.
    pub fn any_rule(&mut self) -> Option<String> {
        let rules = self.shared.rules.lock();
        let newest = rules.len().saturating_sub(NEWEST);
        let range = newest..rules.len();
        (!range.is_empty()).then(|| rules[self.rng.random_range(range)].clone())
    }

    /// Asks until the answer is known, through one node after the other.
    async fn until_known(&mut self, wanted: &Wanted, write: bool) -> Answer {
        let began = Instant::now();
        let mut attempts = 0;
        loop {
            let answer = self.attempt(wanted).await;
            attempts += 1;
            let known = matches!(answer, Answer::Done(_) | Answer::Refused { .. });
            if !known && began.elapsed() < self.shared.options.gives_up {
                self.go_on();
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
            self.shared.operations.lock().push(Operation {
                client: self.number,
                write,
                began_us: self.shared.us_at(began),
                ended_us: self.shared.now_us(),
                attempts,
                done: matches!(answer, Answer::Done(_)),
            });
            if !known {
                self.unexpected(format!(
                    "{:?} had no answer for {attempts} attempts",
                    wanted.asked
                ));
            }
            return answer;
        }
    }

    async fn attempt(&mut self, wanted: &Wanted) -> Answer {
        let node = self.at;
        let sent_us = self.shared.now_us();
        let patience = self.shared.options.patience;
        let answered = match timeout(patience, self.exchange(node, &wanted.call)).await {
            Ok(answered) => answered,
            Err(late) => Err(Failure::NoAnswer(late.into())),
        };
        let is_write = wanted.asked.is_write();
        let answer = self.classify(node, answered, is_write);
        let attempt = Attempt {
            client: self.number,
            node: node.number,
            asked: wanted.asked.clone(),
            sent_us,
            ended_us: self.shared.now_us(),
            answer: answer.clone(),
        };
        self.shared.attempts.lock().push(attempt);
        answer
    }

    /// A connection is kept only if its answer came; one that is given up is closed.
    async fn exchange(&mut self, node: Name, call: &Call) -> Result<Reply, Failure> {
        let request = self.town.target().request(call).map_err(Failure::NotSent)?;
        let kept = self.connections.remove(&node);
        let mut connection = match kept.filter(|kept| !kept.is_closed()) {
            Some(connection) => connection,
            None => {
                let connecting = self.town.target().connect(self.town.http(node));
                connecting.await.map_err(Failure::NotSent)?
            }
        };
        let answer = connection.send(request).await?;
        self.connections.insert(node, connection);
        Ok(answer)
    }

    fn classify(&self, node: Name, answered: Result<Reply, Failure>, is_write: bool) -> Answer {
        let reply = match answered {
            Ok(reply) => reply,
            Err(Failure::NotSent(_)) => return Answer::Unavailable,
            Err(Failure::NoAnswer(_)) => return Answer::Unknown,
        };
        let status = reply.status.as_u16();
        match status {
            200..300 => done(&reply, is_write).map_or(Answer::Unknown, Answer::Done),
            503 if reply.error_code() == "cluster_unavailable" => Answer::Unavailable,
            503 => Answer::Unknown,
            409 if reply.error_code() == "idempotency_in_progress" => Answer::Unknown,
            _ => {
                let code = reply.error_code();
                self.unexpected(format!("{node} answered {status} {code}"));
                if (400..500).contains(&status) {
                    Answer::Refused { status, code }
                } else {
                    Answer::Unknown
                }
            }
        }
    }

    fn unexpected(&self, what: String) {
        self.shared.unexpected.lock().push(what);
    }

    /// A new idempotency key: a UUID of version 4.
    fn key(&mut self) -> String {
        let bits: u128 = self.rng.random();
        let bits = (bits & !(0xf << 76 | 0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        parts.join("-")
    }
}

fn reading(rule: &str) -> Wanted {
    Wanted {
        asked: Asked::Read {
            rule: rule.to_owned(),
        },
        call: Call::get(format!("/v2/rules/{rule}")),
    }
}

/// A success, if it says at which revision.
fn done(reply: &Reply, is_write: bool) -> Option<Done> {
    let body = || String::from_utf8_lossy(&reply.body).into_owned();
    Some(Done {
        status: reply.status.as_u16(),
        revision: reply.header("vectorgate-revision")?.parse().ok()?,
        replayed: reply.header("idempotent-replayed").is_some(),
        rule: Rule::read(&reply.json()),
        body: if is_write { body() } else { String::new() },
    })
}
