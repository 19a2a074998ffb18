//! `propagation`: from the moment a publish is asked for until subscribers hold the new
//! configuration, verified. One rule of a route with a hundred is changed each time. Subscribers
//! speak the edges' protocol over QUIC, each with a certificate of its own, all from one process;
//! compiling is left out, since a thousand edges do that on a thousand machines.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::Args;
use http::Method;
use quinn::Endpoint;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use xtask::local::Name;
use xtask::local::pki::Authority;

use super::{blocking, objects};
use crate::client::RestClient;
use crate::figures::{self, Table, number};
use crate::load::Latencies;
use crate::stage::{House, Stage};
use crate::subscriber::{Applied, Subscription, follow};

/// Rules of the route.
const RULES: u64 = 100;

/// A socket per so many subscribers: a UDP socket has one buffer for all of them.
const SUBSCRIBERS_PER_SOCKET: usize = 50;

/// Subscribers that connect at once.
const CONNECTING_MAX: usize = 50;

/// For all subscribers to hold a publish, or to connect.
const DEADLINE: Duration = Duration::from_secs(60);

/// How much is done.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Numbers of subscribers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000])]
    pub subscribers: Vec<usize>,
    /// Publishes at each
    #[arg(long, default_value_t = 20)]
    pub publishes: usize,
}

/// The figures for a number of subscribers.
#[derive(Clone, Debug, Serialize)]
struct Row {
    subscribers: usize,
    /// The publish itself, as the API's caller sees it.
    publish_p50_ms: f64,
    /// From the request to publish until a subscriber holds it.
    applied_p50_ms: f64,
    applied_p99_ms: f64,
    applied_max_ms: f64,
    /// On the control stream, per subscriber and publish.
    bytes_per_edge: f64,
}

/// What is published.
struct Ground {
    client: RestClient,
    route_id: String,
    rule_id: String,
    count: usize,
}

/// Measures and reports.
///
/// # Errors
/// When a publish does not arrive.
pub async fn run(house: &House, options: &Options) -> Result<()> {
    let folder = blocking(|| house.empty_folder("propagation"))?;
    let stage = blocking(|| Stage::three_nodes(house, &folder))?;
    let mut ground = Ground::prepare(stage.client().await?).await?;
    let mut rows = Vec::new();
    for &subscribers in &options.subscribers {
        let row = measure(&stage, &mut ground, subscribers, options.publishes).await?;
        println!("{subscribers} subscribers measured");
        rows.push(row);
    }
    print!("\n{}", table(&rows));
    figures::write(&house.figures("propagation"), "propagation", options, &rows)
}

impl Ground {
    async fn prepare(mut client: RestClient) -> Result<Self> {
        let upstream_id = objects::upstream(&mut client).await?;
        let route_id = objects::route(&mut client, "p.bench.example", &upstream_id).await?;
        let mut rule_id = String::new();
        for priority in 0..RULES {
            let body = objects::rule_body(
                &route_id,
                &upstream_id,
                priority,
                &format!("rule-{priority}"),
            );
            let answer = client.send(Method::POST, "/v2/rules", body, None).await?;
            rule_id = objects::id(&serde_json::from_slice(answer.body())?)?;
        }
        let mut ground = Self {
            client,
            route_id,
            rule_id,
            count: 0,
        };
        ground.publish().await?;
        Ok(ground)
    }

    /// Changes one rule; the next publish has something new.
    async fn change(&mut self) -> Result<()> {
        self.count += 1;
        let body: Bytes = json!({ "name": format!("changed {} times", self.count) })
            .to_string()
            .into();
        let answer = self
            .client
            .send(
                Method::PATCH,
                &format!("/v2/rules/{}", self.rule_id),
                body,
                None,
            )
            .await?;
        if !answer.status().is_success() {
            bail!(
                "a rule was not changed: {}",
                String::from_utf8_lossy(answer.body())
            );
        }
        Ok(())
    }

    async fn publish(&mut self) -> Result<()> {
        self.client
            .post(&format!("/v2/routes/{}/publish", self.route_id), &json!({}))
            .await
            .map(drop)
    }
}

async fn measure(
    stage: &Stage,
    ground: &mut Ground,
    subscribers: usize,
    publishes: usize,
) -> Result<Row> {
    let (applied, mut heard) = mpsc::unbounded_channel();
    let mut following = JoinSet::new();
    let mut bytes = connect(stage, subscribers, &applied, &mut heard, &mut following).await?;
    let before: u64 = bytes.iter().sum();
    let (mut all, mut asked) = (Latencies::new()?, Latencies::new()?);
    for _ in 0..publishes {
        ground.change().await?;
        let began = Instant::now();
        let hearing = hear(&mut heard, &mut following, subscribers);
        let publishing = async {
            ground.publish().await?;
            anyhow::Ok(began.elapsed())
        };
        let (published, arrived) = tokio::try_join!(publishing, hearing)?;
        asked.record(published);
        for applied in arrived {
            all.record(applied.at - began);
            bytes[applied.subscriber] = applied.bytes_received;
        }
    }
    let after: u64 = bytes.iter().sum();
    let per_edge = (subscribers * publishes).max(1);
    Ok(Row {
        subscribers,
        publish_p50_ms: asked.quantile_ms(0.5),
        applied_p50_ms: all.quantile_ms(0.5),
        applied_p99_ms: all.quantile_ms(0.99),
        applied_max_ms: all.max_ms(),
        bytes_per_edge: float(after - before) / float(u64::try_from(per_edge).unwrap_or(u64::MAX)),
    })
}

/// Connects subscribers, a few at a time, and waits until each holds what is published. Gives what
/// each has received.
async fn connect(
    stage: &Stage,
    subscribers: usize,
    applied: &mpsc::UnboundedSender<Applied>,
    heard: &mut mpsc::UnboundedReceiver<Applied>,
    following: &mut JoinSet<Result<()>>,
) -> Result<Vec<u64>> {
    let authority = Authority::open(&stage.cluster().folder().pki())?;
    let mut bytes = vec![0; subscribers];
    let mut endpoint = None;
    for first in (0..subscribers).step_by(CONNECTING_MAX) {
        let group = first..subscribers.min(first + CONNECTING_MAX);
        let size = group.len();
        for number in group {
            if number % SUBSCRIBERS_PER_SOCKET == 0 {
                let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                endpoint = Some(Endpoint::client(any).context("no UDP socket")?);
            }
            let endpoint = endpoint
                .clone()
                .context("a socket was opened for the first of a group")?;
            following.spawn(follow(
                subscription(stage, &authority, number)?,
                endpoint,
                applied.clone(),
            ));
        }
        for applied in hear(heard, following, size).await? {
            bytes[applied.subscriber] = applied.bytes_received;
        }
    }
    Ok(bytes)
}

fn subscription(stage: &Stage, authority: &Authority, number: usize) -> Result<Subscription> {
    let edge_id = format!("subscriber-{number}");
    let files = authority.edge(&edge_id)?;
    let identity = platform::tls::Identity::load(&files.ca_file, &files.cert_file, &files.key_file)
        .context("a subscriber's certificate")?;
    let nodes: Vec<Name> = stage.nodes().collect();
    let node = stage
        .cluster()
        .topology()
        .publisher(nodes[number % nodes.len()]);
    Ok(Subscription {
        number,
        edge_id,
        identity,
        node: node.parse().context("an address")?,
    })
}

/// Waits until so many subscribers have applied something.
async fn hear(
    heard: &mut mpsc::UnboundedReceiver<Applied>,
    following: &mut JoinSet<Result<()>>,
    count: usize,
) -> Result<Vec<Applied>> {
    let mut all = Vec::with_capacity(count);
    let hearing = async {
        while all.len() < count {
            tokio::select! {
                applied = heard.recv() => all.push(applied.context("no subscriber is left")?),
                Some(ended) = following.join_next() => {
                    ended.context("a subscriber panicked")??;
                    bail!("a subscriber ended");
                }
            }
        }
        Ok(())
    };
    match tokio::time::timeout(DEADLINE, hearing).await {
        Ok(outcome) => outcome.map(|()| all),
        Err(_) => bail!(
            "only {} of {count} subscribers have it after {} s",
            all.len(),
            DEADLINE.as_secs()
        ),
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn table(rows: &[Row]) -> String {
    let headings = [
        "subscribers",
        "publish p50 ms",
        "applied p50 ms",
        "applied p99 ms",
        "applied max ms",
        "bytes per edge",
    ];
    let mut table = Table::new(headings);
    for row in rows {
        table.row([
            row.subscribers.to_string(),
            number(row.publish_p50_ms),
            number(row.applied_p50_ms),
            number(row.applied_p99_ms),
            number(row.applied_max_ms),
            number(row.bytes_per_edge),
        ]);
    }
    table.render()
}
