//! A client: which node it asks, how often it tries, and how it writes down what it was told. What
//! it asks for is in the files beside.

use std::time::Duration;

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::answers::{self, classify};
use super::mix::{Mix, Step};
use super::request::Request;
use super::{Shared, now_us};
use crate::history::{Answer, Attempt, Environment, Operation, Silence};
use crate::network::SimNetwork;

/// Pause between two attempts at the same thing.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// At how many nodes a client asks at once where it does; some are asked twice.
const AT_ONCE: usize = 8;
/// The last client works in the sandbox.
const SANDBOX_AMONG: usize = 2;

/// An API key that a client uses.
#[derive(Clone, Debug, Default)]
pub(super) struct ApiKey {
    /// Its identifier, or a name of its own.
    pub(super) id: String,
    pub(super) text: String,
}

/// One client.
pub struct Client {
    index: usize,
    network: SimNetwork,
    pub(super) rng: ChaCha8Rng,
    pub(super) shared: Shared,
    pub(super) mix: Mix,
    pub(super) environment: Environment,
    pub(super) api_key: ApiKey,
    priority: u32,
}

impl Client {
    /// A client with a random stream of its own.
    #[must_use]
    pub fn new(index: usize, seed: u64, network: SimNetwork, shared: Shared) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(
            seed ^ (0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 1)),
        );
        let mix = Mix::draw(&mut rng);
        // Each client has a range of priorities of its own, so that most are taken once.
        let priority = 1_000 + 50_000 * u32::try_from(index).unwrap_or_default();
        Self {
            index,
            network,
            rng,
            shared,
            mix,
            environment: if index % SANDBOX_AMONG == 1 {
                Environment::Sandbox
            } else {
                Environment::Production
            },
            api_key: ApiKey::default(),
            priority,
        }
    }

    /// Makes what all clients work on, whatever it takes.
    pub async fn prepare(&mut self) {
        let own = self.environment;
        for environment in Environment::ALL {
            self.take_key(environment).await;
            self.set_up(environment).await;
        }
        self.environment = own;
        self.take_key(own).await;
        for _ in 0..self.shared.receivers {
            self.make_endpoint().await;
        }
        *self.shared.prepared.lock() = true;
    }

    /// Works until the faults are over.
    pub async fn work(&mut self) {
        self.begin().await;
        if self.mix.hurries && self.index > 0 {
            self.hurry().await;
            // The key that it used has no requests left.
            self.take_key(self.environment).await;
            return;
        }
        while !*self.shared.winding_up.lock() {
            let step = self.mix.next(&mut self.rng);
            self.step(step).await;
            let pause = self.rng.random_range(5..=self.mix.pause_ms_max);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Waits until everything is prepared, and makes a key that nobody else uses, so that no
    /// client uses up another one's limit.
    async fn begin(&mut self) {
        while !*self.shared.prepared.lock() {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.take_key(self.environment).await;
        let kind = match self.environment {
            Environment::Production => "live",
            Environment::Sandbox => "test",
        };
        let name = format!("client {}", self.index);
        let body = json!({"type": kind, "name": name});
        self.api_key = self.make_key(&body).await;
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Create => self.create().await,
            Step::Rename => self.rename().await,
            Step::Prioritise => self.prioritise().await,
            Step::Archive => self.archive().await,
            Step::Pause => self.pause().await,
            Step::Batch => self.batch().await,
            Step::Reorder => self.reorder().await,
            Step::ChangeRoute => self.change_route().await,
            Step::Read => self.read().await,
            Step::List => self.list().await,
            Step::ReadRoute => self.read_route().await,
            Step::ReadSnapshots => self.read_snapshots().await,
            Step::ReadDiff => self.read_diff().await,
            Step::ReadJournal => self.read_journal().await,
            Step::Publish => self.publish().await,
            Step::RollBack => self.roll_back().await,
            Step::Race => self.race().await,
            Step::Purge => self.purge().await,
            Step::Bad => self.bad().await,
            Step::Endpoint => self.endpoint().await,
            Step::Key => self.use_and_revoke_key().await,
            Step::KeyInBoth => self.use_key_in_both().await,
        }
    }

    /// Ten writes and ten reads, all of which must come through: the cluster is whole again. Nothing
    /// is published before edges have followed: what they missed they have to hear of without that.
    pub async fn prove_liveness(&mut self) {
        for _ in 0..10 {
            self.create().await;
            self.read().await;
        }
        *self.shared.proved.lock() += 1;
        while !*self.shared.followed.lock() {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.publish().await;
    }

    /// Uses the environment's first key from now on, once there is one.
    pub(super) async fn take_key(&mut self, environment: Environment) {
        loop {
            if let Some(text) = self.shared.api_keys.lock().get(&environment) {
                self.api_key = ApiKey {
                    id: format!("first of {}", environment.name()),
                    text: text.clone(),
                };
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Makes an API key, whatever it takes.
    pub(super) async fn make_key(&mut self, body: &Value) -> ApiKey {
        loop {
            let key = self.key();
            let path = "/v2/api_keys".to_owned();
            let request = Request::write(Operation::MakeKey, "POST", path, Some(body), &key);
            let (answer, body) = self.until_known(request).await;
            if answer.done().is_some() {
                return ApiKey {
                    id: answers::text(&body, "id"),
                    text: answers::text(&body, "key"),
                };
            }
            self.pause_before_retry().await;
        }
    }

    /// Tries until the outcome is known, through another random node each time; now and then it
    /// begins by asking several nodes at once.
    pub(super) async fn until_known(&mut self, request: Request) -> (Answer, Value) {
        let mut request = request;
        if self.rng.random_range(0..20) == 0 {
            request = request.patient();
        }
        if self.rng.random_range(0..100) < self.mix.at_once {
            let nodes: Vec<usize> = (0..self.rng.random_range(2..=AT_ONCE))
                .map(|_| self.any_node())
                .collect();
            let attempts = nodes.into_iter().map(|node| self.attempt(node, &request));
            let answers = join_all(attempts).await;
            if let Some(known) = answers.into_iter().find(|(answer, _)| is_known(answer)) {
                return known;
            }
        }
        loop {
            let node = self.any_node();
            let answered = self.attempt(node, &request).await;
            if is_known(&answered.0) {
                return answered;
            }
            self.pause_before_retry().await;
        }
    }

    /// Asks once, at a random node.
    pub(super) async fn once(&mut self, request: Request) -> (Answer, Value) {
        let node = self.any_node();
        self.attempt(node, &request).await
    }

    pub(super) async fn attempt(&self, node: usize, request: &Request) -> (Answer, Value) {
        self.attempt_with(&self.api_key, node, request).await
    }

    /// Asks once with a key, and writes down what came of it.
    pub(super) async fn attempt_with(
        &self,
        api_key: &ApiKey,
        node: usize,
        request: &Request,
    ) -> (Answer, Value) {
        let sent_us = now_us();
        let answered = request.send(&self.network, node, &api_key.text).await;
        let (answer, body) = classify(&request.shape, answered);
        let patience = u64::try_from(request.deadline.as_micros()).unwrap_or(u64::MAX);
        self.shared.history.lock().attempts.push(Attempt {
            client: self.index,
            node: node + 1,
            environment: self.environment,
            api_key: api_key.id.clone(),
            call: request.call.clone(),
            sent_us,
            ended_us: now_us(),
            deadline_us: sent_us.saturating_add(patience),
            answer: answer.clone(),
        });
        (answer, body)
    }

    pub(super) async fn pause_before_retry(&self) {
        tokio::time::sleep(RETRY_PAUSE).await;
    }

    pub(super) fn any_node(&mut self) -> usize {
        let (nodes, lost) = (self.shared.nodes.lock(), self.shared.lost.lock());
        let first = self.rng.random_range(0..nodes.len());
        let mut others = nodes.iter().cycle().skip(first).take(nodes.len());
        let found = others.find(|node| !lost.contains(node));
        *found.unwrap_or(&nodes[first])
    }

    /// A priority that this client has not used.
    pub(super) fn next_priority(&mut self) -> u32 {
        self.priority += 1;
        self.priority
    }

    /// A text that no other publication shows.
    pub(super) fn token(&mut self) -> String {
        let token = format!("token-{}", self.key());
        self.shared.history.lock().tokens.insert(token.clone());
        token
    }

    /// A new idempotency key: a UUID v4.
    pub(super) fn key(&mut self) -> String {
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

/// Whether asking again would tell nothing new. Refusals for being too many, or while the first
/// request under the key still runs, are about the attempt and not about what was asked.
pub(super) fn is_known(answer: &Answer) -> bool {
    match answer {
        Answer::Done(_) => true,
        Answer::Refused { status, code, .. } => {
            *status != 429 && code != "idempotency_in_progress" && *status != 408
        }
        Answer::Unavailable { .. } | Answer::NotSent => false,
        Answer::Unknown(Silence::TimedOut | Silence::Broken | Silence::Told { .. }) => false,
    }
}
