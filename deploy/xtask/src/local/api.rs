//! A small client of the REST API, and probes of health URLs. Plain HTTP to loopback only.
//!
//! The client shows how one talks to a cluster: any node will do, a write carries an idempotency
//! key, and whatever leaves its fate open (no answer, 503) is asked again of the next node with
//! that same key.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request, Response};

/// How long the cluster may take for one request, leader elections and all.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long one node may take. It answers within ten seconds, be it that it does not know.
const ATTEMPT: Duration = Duration::from_secs(12);

const PAUSE: Duration = Duration::from_millis(200);

/// Larger answers are an error: the largest page is 100 rules of 64 KiB.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Asks URLs for their status.
pub struct Probe(Agent);

impl Probe {
    /// A probe that gives each URL so much time.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self(agent(timeout))
    }

    /// The status that a URL answers with.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self, url: &str) -> Result<u16> {
        Ok(self.0.get(url).call()?.status().as_u16())
    }

    /// What a URL answers.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, request: Request<()>) -> Result<Answer> {
        answer(self.0.run(request)?)
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    headers: ureq::http::HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client of a cluster.
pub struct Api {
    agent: Agent,
    nodes: Vec<String>,
    key: String,
}

impl Api {
    /// A client of the nodes with these base URLs.
    #[must_use]
    pub fn new(nodes: Vec<String>, key: String) -> Self {
        Self {
            agent: agent(ATTEMPT),
            nodes,
            key,
        }
    }

    /// Reads.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.request(&Method::GET, path, None, None)
    }

    /// Writes, at most once per idempotency key.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    pub fn post(&self, path: &str, body: &Value, idempotency_key: &str) -> Result<Value> {
        self.request(&Method::POST, path, Some(body), Some(idempotency_key))
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Result<Value> {
        let began = Instant::now();
        let mut attempts = self.nodes.iter().cycle();
        loop {
            let node = attempts.next().context("a cluster has nodes")?;
            let outcome = self.attempt(node, method, path, body, idempotency_key);
            let open = match outcome {
                Ok(answer) if answer.status < 300 => {
                    return serde_json::from_str(&answer.body)
                        .with_context(|| format!("{method} {path} gave no JSON"));
                }
                Ok(answer) if answer.status < 500 => {
                    bail!("{method} {path} gave {}: {}", answer.status, answer.body)
                }
                Ok(answer) => format!("{node} gave {}: {}", answer.status, answer.body),
                Err(error) => format!("{node}: {error:#}"),
            };
            if began.elapsed() > DEADLINE {
                bail!(
                    "{method} {path} did not succeed within {} s; last, {open}",
                    DEADLINE.as_secs()
                );
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn attempt(
        &self,
        node: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{node}{path}"));
        request = request.header("authorization", format!("Bearer {}", self.key));
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let Some(body) = body else {
            return answer(self.agent.run(request.body(())?)?);
        };
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string())?;
        answer(self.agent.run(request)?)
    }
}

fn agent(timeout: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // A proxy of the environment has no business between us and loopback.
        .proxy(None)
        .timeout_global(Some(timeout))
        .build()
        .into()
}

fn answer(mut response: Response<ureq::Body>) -> Result<Answer> {
    let body = response
        .body_mut()
        .with_config()
        .limit(BODY_BYTES_MAX)
        .read_to_string()?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body,
    })
}
