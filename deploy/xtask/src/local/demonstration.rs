//! The demonstration: an upstream with two weighted origins, a route for `api.example.net` with
//! four rules, published. Each request carries an idempotency key that is written down before the
//! first is sent, so an `up` that was interrupted is completed by the next one and makes nothing
//! twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::Api;
use super::cluster::Cluster;
use super::files;
use super::topology::{Kind, Name, Topology};

/// The hostname of the demonstration's route.
pub const HOSTNAME: &str = "api.example.net";

/// How long a published snapshot may take to every edge. It is a matter of milliseconds, unless an
/// edge is waiting to reconnect.
const PROPAGATION_DEADLINE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(50);

/// What was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// The route.
    pub route_id: String,
    /// The upstream.
    pub upstream_id: String,
}

/// What the file says: an idempotency key per request, and once all succeeded, what was made.
#[derive(Default, Serialize, Deserialize)]
struct Progress {
    idempotency_keys: BTreeMap<String, String>,
    made: Option<Made>,
}

/// What an earlier run made, if one got to its end.
///
/// # Errors
/// When the file cannot be read.
pub fn made(cluster: &Cluster) -> Result<Option<Made>> {
    let progress: Option<Progress> = files::read_json(&cluster.folder().demonstration())?;
    Ok(progress.and_then(|progress| progress.made))
}

/// Creates and publishes what is not there yet.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub fn ensure(cluster: &Cluster, api: &Api) -> Result<Made> {
    let mut notes = Notes::open(cluster)?;
    let upstream_id = create(
        api,
        "/v2/upstreams",
        &upstream(cluster.topology()),
        &notes.key("upstream")?,
    )?;
    let route_id = create(
        api,
        "/v2/routes",
        &route(&upstream_id),
        &notes.key("route")?,
    )?;
    for (name, rule) in rules(&route_id, &upstream_id) {
        create(api, "/v2/rules", &rule, &notes.key(name)?)?;
    }
    let comment = json!({ "comment": "The demonstration of `cargo xtask up`" });
    let path = format!("/v2/routes/{route_id}/publish");
    api.post(&path, &comment, &notes.key("publish")?)?;
    notes.finish(Made {
        route_id,
        upstream_id,
    })
}

/// The active snapshot of a route, and its version.
///
/// # Errors
/// When the cluster does not answer or the route has none.
pub fn active_snapshot(api: &Api, route_id: &str) -> Result<(String, u64)> {
    let route = api.get(&format!("/v2/routes/{route_id}"))?;
    let id = route["active_snapshot_id"]
        .as_str()
        .context("the route was never published")?;
    let version = route["active_version"]
        .as_u64()
        .context("the active snapshot has no version")?;
    Ok((id.to_owned(), version))
}

/// Waits until every edge serves a snapshot.
///
/// # Errors
/// When one does not in time; the message says what the API knows of it.
pub fn wait_for_edges(api: &Api, snapshot_id: &str, topology: &Topology) -> Result<Duration> {
    let began = Instant::now();
    let wanted: Vec<String> = topology
        .of(Kind::Edge)
        .map(|edge| edge.to_string())
        .collect();
    loop {
        let view = api.get(&format!("/v2/snapshots/{snapshot_id}/propagation"))?;
        let serving = edges_serving(&view);
        if wanted.iter().all(|edge| serving.contains(&edge.as_str())) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PROPAGATION_DEADLINE {
            bail!(
                "not every edge serves {snapshot_id} after {} s: {view}",
                PROPAGATION_DEADLINE.as_secs()
            );
        }
        std::thread::sleep(POLL);
    }
}

fn edges_serving(propagation: &Value) -> Vec<&str> {
    let edges = propagation["edges"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let applied = edges.iter().filter(|edge| edge["state"] == "applied");
    applied.filter_map(|edge| edge["id"].as_str()).collect()
}

fn create(api: &Api, path: &str, body: &Value, idempotency_key: &str) -> Result<String> {
    id_of(&api.post(path, body, idempotency_key)?)
}

fn id_of(object: &Value) -> Result<String> {
    let id = object["id"]
        .as_str()
        .with_context(|| format!("this has no id: {object}"))?;
    Ok(id.to_owned())
}

fn upstream(topology: &Topology) -> Value {
    let target = |origin: Name| {
        let weight = if origin.number == 1 { 3 } else { 1 };
        let address = topology.http(origin);
        let port = address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse::<u16>().ok());
        json!({ "address": "127.0.0.1", "port": port, "weight": weight })
    };
    let targets: Vec<Value> = topology.of(Kind::Origin).map(target).collect();
    json!({ "name": "Demonstration origins", "targets": targets })
}

fn route(upstream_id: &str) -> Value {
    json!({
        "name": "Public API",
        "hostname": HOSTNAME,
        "mode": "balanced",
        "config": { "upstreams": [{ "upstream_id": upstream_id, "weight": 1 }] },
    })
}

fn rules(route_id: &str, upstream_id: &str) -> [(&'static str, Value); 4] {
    let rule = |name: &str, priority: u32, criteria: Value, action: Value| {
        json!({ "route_id": route_id, "name": name, "priority": priority, "match": criteria, "action": action,
                "metadata": { "owner": "demonstration" } })
    };
    let forward = json!({ "type": "forward", "upstream_id": upstream_id });
    [
        (
            "rule-hello",
            rule(
                "Hello from the edge",
                10,
                json!({ "path": "/hello" }),
                json!({ "type": "fixed_response", "status": 200,
                        "headers": { "content-type": "text/plain" }, "body": "Hello from the edge.\n" }),
            ),
        ),
        (
            "rule-docs",
            rule(
                "Documentation has moved",
                20,
                json!({ "path": "/docs*" }),
                json!({ "type": "redirect", "url": "https://docs.example.net", "status": 308, "preserve_path": true }),
            ),
        ),
        (
            "rule-eu",
            rule(
                "EU read traffic",
                40,
                json!({ "region": ["eu-central-1"], "method": "GET" }),
                forward.clone(),
            ),
        ),
        (
            "rule-rest",
            rule("Everything else", 100, json!({}), forward),
        ),
    ]
}

/// The file of [`Progress`], written before each request.
struct Notes<'a> {
    cluster: &'a Cluster,
    progress: Progress,
}

impl<'a> Notes<'a> {
    fn open(cluster: &'a Cluster) -> Result<Self> {
        let progress = files::read_json(&cluster.folder().demonstration())?.unwrap_or_default();
        Ok(Self { cluster, progress })
    }

    fn key(&mut self, request: &str) -> Result<String> {
        if let Some(key) = self.progress.idempotency_keys.get(request) {
            return Ok(key.clone());
        }
        let key = files::uuid()?;
        self.progress
            .idempotency_keys
            .insert(request.to_owned(), key.clone());
        self.write()?;
        Ok(key)
    }

    fn finish(mut self, made: Made) -> Result<Made> {
        self.progress.made = Some(made.clone());
        self.write()?;
        Ok(made)
    }

    fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.progress)?;
        files::write(&self.cluster.folder().demonstration(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::topology::Ports;

    #[test]
    fn an_idempotency_key_survives_an_interrupted_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let topology = Topology {
            nodes: 1,
            edges: 1,
            origins: 1,
            ports: Ports::LOCAL,
        };
        let cluster = Cluster::prepare(folder.path(), topology).expect("prepared");
        let first = Notes::open(&cluster)
            .expect("notes")
            .key("route")
            .expect("a key");
        let mut again = Notes::open(&cluster).expect("notes");
        assert_eq!(again.key("route").expect("a key"), first);
        assert_ne!(again.key("upstream").expect("a key"), first);
    }

    #[test]
    fn only_edges_that_applied_a_snapshot_count_as_serving_it() {
        let view = json!({ "edges": [
            { "id": "edge-1", "state": "applied" },
            { "id": "edge-2", "state": "rejected", "reason": "no" },
        ] });
        assert_eq!(edges_serving(&view), ["edge-1"]);
        assert!(edges_serving(&json!({})).is_empty());
    }
}
