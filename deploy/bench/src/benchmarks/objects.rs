//! The objects that benchmarks create through the API.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::RestClient;

/// Creates an upstream that nothing is ever sent to.
///
/// # Errors
/// When the cluster does not take it.
pub async fn upstream(client: &mut RestClient) -> Result<String> {
    upstream_at(client, 9).await
}

/// Creates an upstream of one target, on this port of loopback.
///
/// # Errors
/// When the cluster does not take it.
pub async fn upstream_at(client: &mut RestClient, port: u16) -> Result<String> {
    let target = json!({ "address": "127.0.0.1", "port": port, "weight": 1 });
    let body = json!({ "name": "Bench", "targets": [target] });
    id(&client.post("/v2/upstreams", &body).await?)
}

/// Publishes a route.
///
/// # Errors
/// When the cluster does not take it.
pub async fn publish(client: &mut RestClient, route_id: &str) -> Result<()> {
    let path = format!("/v2/routes/{route_id}/publish");
    client.post(&path, &json!({})).await.map(drop)
}

/// Creates a route for a hostname.
///
/// # Errors
/// When the cluster does not take it.
pub async fn route(client: &mut RestClient, hostname: &str, upstream_id: &str) -> Result<String> {
    let body = json!({
        "name": hostname,
        "hostname": hostname,
        "mode": "balanced",
        "config": { "upstreams": [{ "upstream_id": upstream_id, "weight": 1 }] },
    });
    id(&client.post("/v2/routes", &body).await?)
}

/// The body of a request that creates a rule, about as long as the API document's example. Written
/// by hand: serialising would cost the load generator more than sending.
#[must_use]
pub fn rule_body(route_id: &str, upstream_id: &str, priority: u64, name: &str) -> Bytes {
    format!(
        "{{\"route_id\":\"{route_id}\",\"name\":\"{name}\",\"priority\":{priority},\
         \"match\":{{\"path\":\"/r/{name}/*\",\"method\":\"GET\",\"region\":[\"eu-central-1\"]}},\
         \"action\":{{\"type\":\"forward\",\"upstream_id\":\"{upstream_id}\"}},\
         \"metadata\":{{\"owner\":\"platform\"}}}}"
    )
    .into()
}

/// The identifier in an answer.
///
/// # Errors
/// When there is none.
pub fn id(object: &Value) -> Result<String> {
    let id = object["id"]
        .as_str()
        .with_context(|| format!("an answer without an id: {object}"))?;
    Ok(id.to_owned())
}
