//! Reading a snapshot back from its chunks, and its content as JSON.

use serde_json::{Value, json};

use super::{
    DecodeError, RouteContent, RouteEntry, RuleContent, TargetContent, UpstreamContent, route_key,
    upstream_key,
};
use crate::tree::{ChunkFault, ChunkSource, Hash, TreeError, TreeKind, iter};

/// The head of a snapshot.
///
/// # Errors
/// When the chunk is missing or no head.
pub fn load_head<S: ChunkSource + ?Sized>(
    source: &S,
    head: Hash,
) -> Result<RouteContent, TreeError> {
    let bytes = source.chunk(&head).ok_or(TreeError::Missing(head))?;
    if Hash::of(&bytes) != head {
        return Err(ChunkFault::Address.of(head));
    }
    RouteContent::decode(&bytes).map_err(|error| content_fault(head, &error))
}

/// The rules under a root, as they are tried.
pub fn load_rules<S: ChunkSource + ?Sized>(
    source: &S,
    root: Hash,
) -> impl Iterator<Item = Result<RuleContent, TreeError>> + '_ {
    iter(source, TreeKind::Rules, root)
        .map(move |item| item.and_then(|(key, value)| rule(root, &key, &value)))
}

/// The upstreams under a root, by identifier.
pub fn load_upstreams<S: ChunkSource + ?Sized>(
    source: &S,
    root: Hash,
) -> impl Iterator<Item = Result<UpstreamContent, TreeError>> + '_ {
    iter(source, TreeKind::Upstreams, root)
        .map(move |item| item.and_then(|(key, value)| upstream(root, &key, &value)))
}

/// The routes of a manifest, by identifier.
pub fn load_routes<S: ChunkSource + ?Sized>(
    source: &S,
    root: Hash,
) -> impl Iterator<Item = Result<RouteEntry, TreeError>> + '_ {
    iter(source, TreeKind::Routes, root).map(move |item| {
        let (key, value) = item?;
        let entry = RouteEntry::decode(&value).map_err(|error| content_fault(root, &error))?;
        check_key(root, &key, &route_key(&entry.route_id))?;
        Ok(entry)
    })
}

pub(super) fn rule(root: Hash, key: &[u8], value: &[u8]) -> Result<RuleContent, TreeError> {
    let rule = RuleContent::decode(value).map_err(|error| content_fault(root, &error))?;
    check_key(root, key, &rule.key())?;
    Ok(rule)
}

pub(super) fn upstream(root: Hash, key: &[u8], value: &[u8]) -> Result<UpstreamContent, TreeError> {
    let upstream = UpstreamContent::decode(value).map_err(|error| content_fault(root, &error))?;
    check_key(root, key, &upstream_key(&upstream.id))?;
    Ok(upstream)
}

/// A key that is not its value's own would give a rule a place that it does not have.
fn check_key(root: Hash, found: &[u8], expected: &[u8]) -> Result<(), TreeError> {
    if found == expected {
        return Ok(());
    }
    Err(ChunkFault::Content("a key is not that of its value".to_owned()).of(root))
}

fn content_fault(hash: Hash, error: &DecodeError) -> TreeError {
    ChunkFault::Content(error.to_string()).of(hash)
}

impl RouteContent {
    /// The settings as JSON, without the rules and upstreams.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let config: Value = serde_json::from_str(&self.config).unwrap_or(Value::Null);
        json!({
            "route_id": self.route_id.as_str(),
            "name": self.name,
            "hostname": self.hostname,
            "mode": self.mode.as_str(),
            "enabled": self.enabled,
            "config": config,
        })
    }
}

impl RuleContent {
    /// The rule as JSON, criteria and action in their normalised form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id.as_str(),
            "name": self.name,
            "priority": self.priority.0,
            "match": self.criteria.to_json(),
            "action": self.action.to_json(),
            "metadata": self.metadata,
        })
    }
}

impl UpstreamContent {
    /// The upstream as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "id": self.id.as_str(),
            "name": self.name,
            "algorithm": self.algorithm.as_str(),
        });
        if let Value::Object(fields) = &mut object {
            fields.extend(self.settings.to_json());
            let targets = self.targets.iter().map(TargetContent::to_json).collect();
            fields.insert("targets".to_owned(), Value::Array(targets));
        }
        object
    }
}

impl TargetContent {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id.as_str(),
            "address": self.address,
            "port": self.port,
            "weight": self.weight,
            "regions": self.regions,
            "drain": self.drain,
        })
    }
}
