//! Where the measurements take place: an edge with one thread, a node that publishes to it and is
//! asleep while something is measured, and an origin.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::Full;
use serde_json::{Value, json};
use xtask::local::process::End;
use xtask::local::topology::Ports;
use xtask::local::{Name, Topology};

use crate::benchmarks::{blocking, objects};
use crate::client::{Connection, RestClient};
use crate::neighbours::Neighbour;
use crate::processes::Pid;
use crate::stage::{House, Stage};

/// For what was published to be served.
const SERVED_DEADLINE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(1);

/// How many rules are created by one request: as many as the API takes.
const BATCH: u64 = 100;

/// How many rules are published at once. What a publish takes grows with what it changes, and each
/// has to be done before a node stops waiting for it.
const PUBLISHED: u64 = 10_000;

/// The stage, set.
pub(super) struct Ground {
    pub(super) stage: Stage,
    pub(super) origin: Neighbour,
    pub(super) folder: PathBuf,
    client: RestClient,
    /// The upstream that leads to the origin.
    pub(super) upstream_id: String,
}

impl Ground {
    /// Starts everything.
    pub(super) async fn prepare(house: &House, folder: &Path) -> Result<Self> {
        let topology = Topology {
            nodes: 1,
            edges: 1,
            origins: 0,
            ports: Ports::BENCH,
        };
        let origin = blocking(|| Neighbour::origin(folder, 0))?;
        let stage = blocking(|| {
            let stage = Stage::open(house, folder, topology)?;
            serve_with_one_thread(&stage)?;
            stage.cluster().start(edge())?;
            anyhow::Ok(stage)
        })?;
        let mut client = stage.client().await?;
        let upstream_id = objects::upstream_at(&mut client, origin.http1().port()).await?;
        Ok(Self {
            stage,
            origin,
            folder: folder.to_owned(),
            client,
            upstream_id,
        })
    }

    /// The edge's process.
    pub(super) fn edge(&self) -> Result<Pid> {
        self.stage.pid(edge())
    }

    /// The node's process.
    pub(super) fn node(&self) -> Result<Pid> {
        self.stage.pid(Name::node(1))
    }

    /// Where the edge serves.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let address = self.stage.cluster().topology().http(edge());
        address.parse().context("an edge's address")
    }

    /// Where the edge tells how it is.
    pub(super) fn admin(&self) -> String {
        self.stage.cluster().topology().admin(edge())
    }

    /// Creates an upstream with a target on this port of loopback.
    pub(super) async fn upstream(&mut self, port: u16) -> Result<String> {
        objects::upstream_at(&mut self.client, port).await
    }

    /// Publishes a route with so many rules, waits until the edge serves it, and says its identifier.
    pub(super) async fn route(&mut self, host: &str, upstream: &str, rules: u64) -> Result<String> {
        let route_id = published(&mut self.client, host, upstream, rules).await?;
        self.served(host, &path(rules.saturating_sub(1))).await?;
        Ok(route_id)
    }

    /// Changes to a route that has so many rules.
    pub(super) async fn changes(&self, route_id: String, rules: u64) -> Result<Changes> {
        Ok(Changes {
            client: self.stage.client().await?,
            upstream_id: self.upstream_id.clone(),
            route_id,
            rules,
            made: 0,
        })
    }

    /// Changes to a route with so many rules that is published where no edge follows: they cost the node the
    /// same, and the edge nothing.
    pub(super) async fn changes_elsewhere(&self, host: &str, rules: u64) -> Result<Changes> {
        let mut client = self.stage.sandbox_client().await?;
        let upstream_id = objects::upstream_at(&mut client, self.origin.http1().port()).await?;
        let route_id = published(&mut client, host, &upstream_id, rules).await?;
        Ok(Changes {
            client,
            upstream_id,
            route_id,
            rules,
            made: 0,
        })
    }

    /// Waits until the edge answers for a host with success.
    pub(super) async fn served(&self, host: &str, path: &str) -> Result<Duration> {
        let address = self.address()?.to_string();
        let began = Instant::now();
        loop {
            match ask(&address, host, path).await {
                Ok(200) => return Ok(began.elapsed()),
                said if began.elapsed() > SERVED_DEADLINE => {
                    bail!("the edge does not serve {host}: {said:?}");
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Ends the edge and starts it again without a node; says after how long it answers.
    pub(super) async fn restart_edge(&self, host: &str, path: &str) -> Result<Duration> {
        blocking(|| self.stage.cluster().stop(edge(), End::Drained))?;
        let began = Instant::now();
        blocking(|| self.stage.cluster().start(edge()))?;
        self.served(host, path).await?;
        Ok(began.elapsed())
    }

    /// Does something while the node is stopped: what remains is what the edge has on its disk,
    /// and nobody else takes processor time.
    pub(super) async fn alone<T>(
        &mut self,
        measure: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        blocking(|| self.stage.cluster().stop(Name::node(1), End::Drained))?;
        let measured = measure(self).await?;
        blocking(|| {
            self.stage.cluster().start(Name::node(1))?;
            self.stage.cluster().wait_ready(Name::node(1))
        })?;
        self.client = self.stage.client().await?;
        Ok(measured)
    }
}

/// Publishes a route with so many rules, and says its identifier.
async fn published(
    client: &mut RestClient,
    host: &str,
    upstream: &str,
    rules: u64,
) -> Result<String> {
    let route_id = objects::route(client, host, upstream).await?;
    for first in (0..rules).step_by(usize::try_from(BATCH)?) {
        let batch = batch(&route_id, upstream, first..rules.min(first + BATCH))?;
        client.post("/v2/rules/batch", &batch).await?;
        if (first + BATCH).is_multiple_of(PUBLISHED) {
            objects::publish(client, &route_id).await?;
        }
    }
    objects::publish(client, &route_id).await?;
    Ok(route_id)
}

/// Changes of a route, one after the other.
pub(super) struct Changes {
    client: RestClient,
    upstream_id: String,
    route_id: String,
    rules: u64,
    /// How many were made.
    pub(super) made: u64,
}

impl Changes {
    /// Adds a rule to the route and publishes it.
    pub(super) async fn publish_one(&mut self) -> Result<()> {
        let rule = self.rules + self.made;
        let batch = batch(&self.route_id, &self.upstream_id, rule..rule + 1)?;
        self.client.post("/v2/rules/batch", &batch).await?;
        objects::publish(&mut self.client, &self.route_id).await?;
        self.made += 1;
        Ok(())
    }
}

/// The only edge.
fn edge() -> Name {
    Name::edge(1)
}

/// The path that the rule in this place takes, and no other.
pub(super) fn path(rule: u64) -> String {
    format!("/r/{}/x", name(rule))
}

fn name(rule: u64) -> String {
    format!("rule-{rule:09}")
}

fn batch(route_id: &str, upstream_id: &str, rules: std::ops::Range<u64>) -> Result<Value> {
    let mut operations = Vec::new();
    for rule in rules {
        let body = objects::rule_body(route_id, upstream_id, rule, &name(rule));
        let mut operation: Value = serde_json::from_slice(&body)?;
        operation["op"] = "create".into();
        operations.push(operation);
    }
    Ok(json!({ "operations": operations }))
}

async fn ask(address: &str, host: &str, path: &str) -> Result<u16> {
    let request = Request::get(path)
        .header(HOST, host)
        .body(Full::<Bytes>::default())?;
    let answer = Connection::open(address).await?.send(request).await?;
    Ok(answer.status().as_u16())
}

/// Settings as `cargo xtask up` writes them, but for the number of threads.
fn serve_with_one_thread(stage: &Stage) -> Result<()> {
    let path = stage.cluster().folder().settings(edge());
    let text =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut settings: toml::Table = text.parse().context("an edge's settings")?;
    let http = settings
        .get_mut("http")
        .and_then(toml::Value::as_table_mut)
        .context("an edge's settings without `http`")?;
    http.insert("workers".to_owned(), 1.into());
    let text = toml::to_string(&settings).context("an edge's settings")?;
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
}
