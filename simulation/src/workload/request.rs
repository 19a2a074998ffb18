//! One request of a client, and how it is sent.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;

use crate::faults;
use crate::history::{Call, Operation};
use crate::http::{self, Failure, Response};
use crate::network::SimNetwork;

/// How long a client waits for one answer: longer than any server-side deadline would be
/// politeness; shorter makes unknown outcomes, which is the point.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
/// How long a patient client waits: more than a node may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is expected of the body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object, or rules that were changed together.
    One,
    /// A page of a route's rules.
    RulesOf(String),
    /// A page of a route's snapshots.
    SnapshotsOf(String),
    /// A page of events.
    Events,
    /// A page of the audit log.
    Audit,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) call: Call,
    pub(super) shape: Shape,
    pub(super) deadline: Duration,
}

impl Request {
    /// A read of what is at `path`.
    pub(super) fn read(operation: Operation, path: String) -> Self {
        Self {
            method: "GET",
            path,
            body: None,
            headers: Vec::new(),
            call: Call {
                operation,
                about: None,
                key: None,
                renames: Vec::new(),
                stale: false,
            },
            shape: Shape::One,
            deadline: ANSWER_DEADLINE,
        }
    }

    /// A change under an idempotency key.
    pub(super) fn write(
        operation: Operation,
        method: &'static str,
        path: String,
        body: Option<&Value>,
        key: &str,
    ) -> Self {
        let mut request = Self::read(operation, path);
        request.method = method;
        request.body = body.map(Value::to_string);
        request.call.key = Some(key.to_owned());
        request
    }

    /// Without the idempotency key.
    pub(super) fn keyless(mut self) -> Self {
        self.call.key = None;
        self
    }

    /// What it is about.
    pub(super) fn about(mut self, object: &str) -> Self {
        self.call.about = Some(object.to_owned());
        self
    }

    /// It gives a rule a name.
    pub(super) fn naming(mut self, rule: &str, name: &str) -> Self {
        self.call.renames.push((rule.to_owned(), name.to_owned()));
        self
    }

    pub(super) fn shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// Takes what the node has applied.
    pub(super) fn stale(mut self) -> Self {
        self.call.stale = true;
        self
    }

    /// Waits until the node must have answered.
    pub(super) fn patient(mut self) -> Self {
        self.deadline = PATIENCE;
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Sends it to a node, by index from 0.
    pub(super) async fn send(
        &self,
        network: &SimNetwork,
        node: usize,
        api_key: &str,
    ) -> Result<Response, Failure> {
        let host = faults::node(node);
        let mut request = ::http::Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header("host", &host)
            .header("authorization", format!("Bearer {api_key}"));
        if self.body.is_some() && !self.headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        if let Some(key) = &self.call.key {
            request = request.header("idempotency-key", key);
        }
        if self.call.stale {
            request = request.header("vectorgate-consistency", "stale");
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let body = self.body.clone().unwrap_or_default();
        let Ok(request) = request.body(Full::new(Bytes::from(body))) else {
            return Err(Failure::NotSent);
        };
        http::send(network, &format!("{host}:80"), request, self.deadline).await
    }
}
