//! `writes`: rules created through all three nodes, beside puts of the same size into three etcd
//! processes. Both acknowledge a write when a majority has synced it to disk. With `--beside FOLDER`
//! the other system is a cluster of another build of the nodes: what has come to the path of a write
//! since then has cost the difference.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use bytes::Bytes;
use clap::Args;
use http::{Method, StatusCode};
use serde::Serialize;
use xtask::local::files::uuid;

use super::compare;
use super::{blocking, objects};
use crate::client::RestClient;
use crate::etcd::{EtcdClient, EtcdCluster};
use crate::figures;
use crate::load::Client;
use crate::stage::{House, Stage};

/// Rules are spread over so many routes.
const ROUTES: u64 = 64;

/// How much is measured, and beside what.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    #[command(flatten)]
    compare: compare::Options,
    /// Give each write to this build an idempotency key
    #[arg(long)]
    keys: bool,
    /// A folder with the binaries of another build, to be measured in the place of etcd; its writes
    /// carry no idempotency key
    #[arg(long)]
    beside: Option<PathBuf>,
}

/// What the rules belong to.
struct Ground {
    routes: Vec<String>,
    upstream_id: String,
    /// Rules asked for so far: makes priorities and names unique.
    count: AtomicU64,
}

impl Ground {
    async fn prepare(client: &mut RestClient) -> Result<Self> {
        let upstream_id = objects::upstream(client).await?;
        let mut routes = Vec::new();
        for route in 0..ROUTES {
            routes.push(
                objects::route(client, &format!("w{route}.bench.example"), &upstream_id).await?,
            );
        }
        Ok(Self {
            routes,
            upstream_id,
            count: AtomicU64::new(0),
        })
    }

    fn next_body(&self) -> (u64, Bytes) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let route = usize::try_from(number % ROUTES).unwrap_or_default();
        let name = format!("rule-{number:09}");
        (
            number,
            objects::rule_body(
                &self.routes[route],
                &self.upstream_id,
                number / ROUTES,
                &name,
            ),
        )
    }
}

struct RuleWriter {
    client: RestClient,
    ground: Arc<Ground>,
    with_key: bool,
}

impl RuleWriter {
    async fn connect(
        stage: &Stage,
        ground: &Arc<Ground>,
        index: usize,
        with_key: bool,
    ) -> Result<Self> {
        Ok(Self {
            client: stage.target().client(index).await?,
            ground: Arc::clone(ground),
            with_key,
        })
    }
}

impl Client for RuleWriter {
    async fn once(&mut self) -> Result<()> {
        let (_, body) = self.ground.next_body();
        let key = self.with_key.then(uuid).transpose()?;
        let answer = self
            .client
            .send(Method::POST, "/v2/rules", body, key.as_deref())
            .await?;
        if answer.status() != StatusCode::CREATED {
            bail!(
                "a rule was not created: {} {}",
                answer.status(),
                String::from_utf8_lossy(answer.body())
            );
        }
        Ok(())
    }
}

struct Putter {
    client: EtcdClient,
    ground: Arc<Ground>,
}

impl Client for Putter {
    async fn once(&mut self) -> Result<()> {
        let (number, body) = self.ground.next_body();
        self.client
            .put(format!("rules/{number:020}").into(), body)
            .await
    }
}

/// Measures and reports.
///
/// # Errors
/// When a request fails or a process does not start.
pub async fn run(house: &House, options: &Options) -> Result<()> {
    let folder = blocking(|| house.empty_folder("writes"))?;
    let stage = blocking(|| Stage::three_nodes(house, &folder))?;
    let ground = Arc::new(Ground::prepare(&mut stage.client().await?).await?);
    let ours = async |index| RuleWriter::connect(&stage, &ground, index, options.keys).await;
    let (rows, other) = if let Some(binaries) = &options.beside {
        let other = blocking(|| Stage::three_nodes_beside(house, binaries, &folder))?;
        let their_ground = Arc::new(Ground::prepare(&mut other.client().await?).await?);
        println!("Three nodes and three of another build take rules");
        let theirs = async |index| RuleWriter::connect(&other, &their_ground, index, false).await;
        let rows = compare::measure(&options.compare, ours, theirs).await?;
        (rows, "the other build's")
    } else {
        let etcd = EtcdCluster::start(&folder.join("etcd")).await?;
        // Counted apart, so that neither depends on how far the other got.
        let their_ground = Arc::new(Ground {
            routes: ground.routes.clone(),
            upstream_id: ground.upstream_id.clone(),
            count: AtomicU64::new(0),
        });
        println!(
            "Three nodes and three etcd ({}) take writes of {} bytes",
            etcd.version,
            their_ground.next_body().1.len()
        );
        let theirs = async |index| {
            let client = EtcdCluster::client(index).await?;
            Ok(Putter {
                client,
                ground: Arc::clone(&their_ground),
            })
        };
        let rows = compare::measure(&options.compare, ours, theirs).await?;
        (rows, "etcd")
    };
    print!("\n{}", compare::table(&rows, other, "writes"));
    figures::write(&house.figures("writes"), "writes", options, &rows)
}
