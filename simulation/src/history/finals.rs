//! What nodes held at the end, after the faults healed, and the journal: what was committed, in
//! order, as the cluster itself tells it.

use std::collections::BTreeMap;

use super::Environment;

/// A rule as a node holds it at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalRule {
    /// The environment that it is in.
    pub environment: Environment,
    /// Its identifier.
    pub id: String,
    /// Its route.
    pub route: String,
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: u64,
    /// Its status.
    pub status: String,
    /// Whether it is part of the active snapshot.
    pub live: bool,
    /// The idempotency key that made it, from its labels.
    pub key: Option<String>,
}

/// An event that told of an upstream in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The upstream.
    pub upstream: String,
    /// Where.
    pub region: String,
    /// Whether it failed there, or recovered.
    pub failed: bool,
}

/// What one node holds at the end, after the faults healed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalState {
    /// Up to which revision.
    pub applied: u64,
    /// The hash of its whole state.
    pub hash: [u8; 32],
    /// Its rules, of all environments.
    pub rules: Vec<FinalRule>,
    /// What it tells of upstreams, oldest first.
    pub outages: Vec<Told>,
    /// Up to which revision each webhook endpoint that is enabled has the journal behind it; of that
    /// one perhaps not all.
    pub taken_over: BTreeMap<String, u64>,
    /// What the domain's own invariants say.
    pub invariants: Option<String>,
    /// How many rows its journal has, of all environments.
    pub journal_rows: usize,
    /// The first bytes of the SHA-256 of its journal.
    pub journal_hash: u64,
}

/// What one log entry did to an environment, as the journal tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The environment.
    pub environment: Environment,
    /// The log entry.
    pub revision: u64,
    /// The log's time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What was asked, by the command's name.
    pub operation: String,
    /// Whose API key asked; nobody's, where the cluster did it by itself.
    pub actor: Option<String>,
    /// The request.
    pub request_id: String,
    /// The idempotency key that it carried.
    pub key: Option<String>,
    /// What changed.
    pub changes: Vec<Changed>,
    /// The events that it told: identifier and type.
    pub events: Vec<(String, String)>,
}

/// What happened to one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Its kind, as the audit log names it.
    pub object: &'static str,
    /// Its identifier.
    pub id: String,
    /// The route that it is or belongs to.
    pub route: Option<String>,
    /// The fields that differ, as they were: a JSON object. Nothing if it was not there.
    pub before: Option<String>,
    /// The same fields as they are. Nothing if it is not there any more.
    pub after: Option<String>,
}

/// The nodes' last states, by node, counted from 1.
pub type Finals = BTreeMap<usize, FinalState>;
