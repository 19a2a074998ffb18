//! `api`: the ten commonest operations of the REST API through all three nodes, one after the
//! other, and what an idempotency key costs a write. With `--beside FOLDER` the same rules are
//! also created on nodes of another build, in turn with this one: what a change to the path of a
//! request has cost.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::Args;
use http::{Method, Response};
use serde::Serialize;
use serde_json::{Value, json};
use xtask::local::files::uuid;

use super::{blocking, objects};
use crate::client::RestClient;
use crate::figures::{self, Table, median_round, number};
use crate::load::{Client, Round, run as load};
use crate::stage::{House, Stage};

/// How many routes there are.
const ROUTES: u64 = 100;

/// How many rules each of them has before anything is measured.
const RULES: u64 = 20;

/// Before an operation is measured it is asked for so long uncounted.
const WARM_UP: Duration = Duration::from_millis(300);

/// How much is measured.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Clients, each with a connection and one request at a time
    #[arg(long, default_value_t = 16)]
    pub clients: usize,
    /// Rounds of each operation; the median counts
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// A folder with the binaries of another build, to create rules on in turn with this one
    #[arg(long)]
    pub beside: Option<PathBuf>,
}

/// What is measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Operation {
    #[serde(rename = "rules.list")]
    ListRules,
    #[serde(rename = "rules.get")]
    GetRule,
    #[serde(rename = "rules.create")]
    CreateRule,
    #[serde(rename = "rules.update")]
    UpdateRule,
    #[serde(rename = "routes.list")]
    ListRoutes,
    #[serde(rename = "routes.get")]
    GetRoute,
    #[serde(rename = "routes.publish, after a change")]
    Publish,
    #[serde(rename = "snapshots.diff")]
    Diff,
    #[serde(rename = "snapshots.propagation")]
    Propagation,
    #[serde(rename = "events.list")]
    ListEvents,
}

impl Operation {
    /// Reads before writes, so that all of them meet the same state.
    const ALL: [Self; 10] = [
        Self::ListRules,
        Self::GetRule,
        Self::ListRoutes,
        Self::GetRoute,
        Self::Diff,
        Self::Propagation,
        Self::ListEvents,
        Self::UpdateRule,
        Self::Publish,
        Self::CreateRule,
    ];
}

/// A route that has been published twice.
struct Route {
    id: String,
    rules: Vec<String>,
    /// The older and the newer snapshot.
    snapshots: [String; 2],
}

/// What there is to ask for.
struct Ground {
    upstream_id: String,
    routes: Vec<Route>,
    /// Requests so far: makes names and priorities unique and spreads requests over routes.
    count: AtomicU64,
}

impl Ground {
    async fn prepare(client: &mut RestClient) -> Result<Self> {
        let upstream_id = objects::upstream(client).await?;
        let mut routes = Vec::new();
        for number in 0..ROUTES {
            let host = format!("a{number}.bench.example");
            let id = objects::route(client, &host, &upstream_id).await?;
            let mut rules = Vec::new();
            for priority in 0..RULES {
                let body = objects::rule_body(&id, &upstream_id, priority, "bench");
                let body = serde_json::from_slice(&body)?;
                rules.push(objects::id(&client.post("/v2/rules", &body).await?)?);
            }
            let older = publish(client, &id).await?;
            let path = format!("/v2/rules/{}", rules[0]);
            let body = json!({ "name": "changed" }).to_string().into();
            succeeded(&client.send(Method::PATCH, &path, body, None).await?)?;
            let newer = publish(client, &id).await?;
            routes.push(Route {
                id,
                rules,
                snapshots: [older, newer],
            });
        }
        Ok(Self {
            upstream_id,
            routes,
            count: AtomicU64::new(0),
        })
    }

    /// A number that no other request has, and the route that it falls to.
    fn next(&self) -> (u64, &Route) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let route = usize::try_from(number % ROUTES).unwrap_or_default();
        (number, &self.routes[route])
    }
}

async fn publish(client: &mut RestClient, route_id: &str) -> Result<String> {
    let path = format!("/v2/routes/{route_id}/publish");
    objects::id(&client.post(&path, &json!({})).await?)
}

fn succeeded(answer: &Response<Bytes>) -> Result<()> {
    if !answer.status().is_success() {
        let said = String::from_utf8_lossy(answer.body());
        bail!("a request gave {}: {said}", answer.status());
    }
    Ok(())
}

/// Asks for one operation over and over.
struct Asker {
    client: RestClient,
    ground: Arc<Ground>,
    operation: Operation,
    with_key: bool,
}

impl Asker {
    async fn read(&mut self, path: &str) -> Result<()> {
        let answer = self.client.send(Method::GET, path, Bytes::new(), None);
        succeeded(&answer.await?)
    }

    async fn write(&mut self, method: Method, path: &str, body: Bytes) -> Result<()> {
        let key = self.with_key.then(uuid).transpose()?;
        let answer = self.client.send(method, path, body, key.as_deref());
        succeeded(&answer.await?)
    }
}

impl Client for Asker {
    async fn once(&mut self) -> Result<()> {
        let ground = Arc::clone(&self.ground);
        let (number, route) = ground.next();
        let [older, newer] = &route.snapshots;
        let id = &route.id;
        let rule = &route.rules[usize::try_from(number / ROUTES % RULES).unwrap_or_default()];
        let named = || Bytes::from(format!("{{\"name\":\"rule {number}\"}}"));
        match self.operation {
            Operation::ListRules => self.read(&format!("/v2/rules?route_id={id}")).await,
            Operation::GetRule => self.read(&format!("/v2/rules/{rule}")).await,
            Operation::ListRoutes => self.read("/v2/routes?limit=20").await,
            Operation::GetRoute => self.read(&format!("/v2/routes/{id}")).await,
            Operation::ListEvents => self.read("/v2/events").await,
            Operation::Diff => {
                self.read(&format!("/v2/snapshots/{older}/diff/{newer}"))
                    .await
            }
            Operation::Propagation => {
                self.read(&format!("/v2/snapshots/{newer}/propagation"))
                    .await
            }
            Operation::UpdateRule => {
                let path = format!("/v2/rules/{rule}");
                self.write(Method::PATCH, &path, named()).await
            }
            Operation::Publish => {
                let path = format!("/v2/rules/{rule}");
                self.write(Method::PATCH, &path, named()).await?;
                let path = format!("/v2/routes/{id}/publish");
                self.write(Method::POST, &path, Bytes::from_static(b"{}"))
                    .await
            }
            Operation::CreateRule => {
                let priority = RULES + number / ROUTES;
                let name = format!("rule-{number:09}");
                let body = objects::rule_body(id, &ground.upstream_id, priority, &name);
                self.write(Method::POST, "/v2/rules", body).await
            }
        }
    }
}

/// A cluster and what was made in it.
struct Place {
    stage: Stage,
    ground: Arc<Ground>,
}

impl Place {
    async fn open(stage: Stage) -> Result<Self> {
        let ground = Arc::new(Ground::prepare(&mut stage.client().await?).await?);
        Ok(Self { stage, ground })
    }

    async fn askers(
        &self,
        options: &Options,
        operation: Operation,
        with_key: bool,
    ) -> Result<Vec<Asker>> {
        let mut askers = Vec::new();
        for index in 0..options.clients {
            askers.push(Asker {
                client: self.stage.target().client(index).await?,
                ground: Arc::clone(&self.ground),
                operation,
                with_key,
            });
        }
        let (_, askers) = load(askers, WARM_UP).await?;
        Ok(askers)
    }
}

/// The figures of an operation.
#[derive(Serialize)]
struct Row {
    operation: Operation,
    median: Round,
    rounds: Vec<Round>,
}

/// Rules created in two ways, in turn.
#[derive(Serialize)]
struct Pair {
    what: [String; 2],
    medians: [Round; 2],
    /// The median over the rounds of the first one's requests per second by the second one's.
    ratio: f64,
}

/// Measures and reports.
///
/// # Errors
/// When a request fails or a process does not start.
pub async fn run(house: &House, options: &Options) -> Result<()> {
    let folder = blocking(|| house.empty_folder("api"))?;
    let stage = blocking(|| Stage::three_nodes(house, &folder))?;
    let place = Place::open(stage).await?;
    println!(
        "Three nodes, {ROUTES} routes of {RULES} rules, {} clients",
        options.clients
    );
    let mut rows = Vec::new();
    for operation in Operation::ALL {
        rows.push(measure(&place, options, operation).await?);
    }
    print!("\n{}", table(&rows)?);
    let mut pairs = vec![key_and_none(&place, options).await?];
    if let Some(binaries) = &options.beside {
        let stage = blocking(|| Stage::three_nodes_beside(house, binaries, &folder))?;
        pairs.push(builds(&place, &Place::open(stage).await?, options).await?);
    }
    print!("\n{}", pair_table(&pairs));
    let figures = json!({ "operations": rows, "pairs": pairs });
    figures::write(&house.figures("api"), "api", options, &figures)
}

async fn measure(place: &Place, options: &Options, operation: Operation) -> Result<Row> {
    let mut askers = place.askers(options, operation, true).await?;
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let round;
        (round, askers) = load(askers, Duration::from_secs(options.seconds)).await?;
        rounds.push(round);
    }
    Ok(Row {
        operation,
        median: median_round(&rounds),
        rounds,
    })
}

async fn key_and_none(place: &Place, options: &Options) -> Result<Pair> {
    let with = place.askers(options, Operation::CreateRule, true).await?;
    let without = place.askers(options, Operation::CreateRule, false).await?;
    let what = ["with an idempotency key", "without"];
    in_turn(options, what, with, without).await
}

async fn builds(this: &Place, other: &Place, options: &Options) -> Result<Pair> {
    let ours = this.askers(options, Operation::CreateRule, true).await?;
    let theirs = other.askers(options, Operation::CreateRule, true).await?;
    in_turn(options, ["this build", "the other"], ours, theirs).await
}

async fn in_turn(
    options: &Options,
    what: [&str; 2],
    mut first: Vec<Asker>,
    mut second: Vec<Asker>,
) -> Result<Pair> {
    let length = Duration::from_secs(options.seconds);
    let (mut firsts, mut seconds, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let (one, other);
        (one, first) = load(first, length).await?;
        (other, second) = load(second, length).await?;
        ratios.push(one.per_second / other.per_second);
        firsts.push(one);
        seconds.push(other);
    }
    Ok(Pair {
        what: what.map(str::to_owned),
        medians: [median_round(&firsts), median_round(&seconds)],
        ratio: figures::median(ratios),
    })
}

fn table(rows: &[Row]) -> Result<String> {
    let mut table = Table::new(["operation", "requests/s", "p50 ms", "p99 ms"]);
    for row in rows {
        let name = serde_json::to_value(row.operation).context("an operation has a name")?;
        table.row([
            Value::as_str(&name).unwrap_or_default().to_owned(),
            number(row.median.per_second),
            number(row.median.p50_ms),
            number(row.median.p99_ms),
        ]);
    }
    Ok(table.render())
}

fn pair_table(pairs: &[Pair]) -> String {
    let mut table = Table::new(["rules.create, in turn", "requests/s", "p99 ms", "ratio"]);
    for pair in pairs {
        for (index, (what, round)) in pair.what.iter().zip(&pair.medians).enumerate() {
            let ratio = if index == 0 {
                format!("{:.2}x", pair.ratio)
            } else {
                String::new()
            };
            table.row([
                what.clone(),
                number(round.per_second),
                number(round.p99_ms),
                ratio,
            ]);
        }
    }
    table.render()
}
