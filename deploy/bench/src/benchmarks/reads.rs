//! `reads`: one rule read linearizably through all three nodes, beside linearizable reads of a value
//! of the same size from three etcd processes.

use std::sync::Arc;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::{Method, StatusCode};

use super::compare::{self, Options};
use super::{blocking, objects};
use crate::client::RestClient;
use crate::etcd::{EtcdClient, EtcdCluster};
use crate::figures;
use crate::load::Client;
use crate::stage::{House, Stage};

const KEY: &[u8] = b"rules/1";

struct RuleReader {
    client: RestClient,
    path: Arc<str>,
}

impl Client for RuleReader {
    async fn once(&mut self) -> Result<()> {
        let answer = self
            .client
            .send(Method::GET, &self.path, Bytes::new(), None)
            .await?;
        if answer.status() != StatusCode::OK {
            bail!(
                "a rule was not read: {} {}",
                answer.status(),
                String::from_utf8_lossy(answer.body())
            );
        }
        Ok(())
    }
}

struct Getter(EtcdClient);

impl Client for Getter {
    async fn once(&mut self) -> Result<()> {
        self.0.get(Bytes::from_static(KEY)).await.map(drop)
    }
}

/// Measures and reports.
///
/// # Errors
/// When a request fails or a process does not start.
pub async fn run(house: &House, options: &Options) -> Result<()> {
    let folder = blocking(|| house.empty_folder("reads"))?;
    let stage = blocking(|| Stage::three_nodes(house, &folder))?;
    let etcd = EtcdCluster::start(&folder.join("etcd")).await?;
    let (path, value) = prepare(&mut stage.client().await?).await?;
    println!(
        "Three nodes and three etcd ({}) give reads of {} bytes",
        etcd.version,
        value.len()
    );
    EtcdCluster::client(0)
        .await?
        .put(Bytes::from_static(KEY), value)
        .await?;
    let rows = compare::measure(
        options,
        async |index| {
            let client = stage.target().client(index).await?;
            Ok(RuleReader {
                client,
                path: Arc::clone(&path),
            })
        },
        async |index| Ok(Getter(EtcdCluster::client(index).await?)),
    )
    .await?;
    print!("\n{}", compare::table(&rows, "etcd", "reads"));
    figures::write(&house.figures("reads"), "reads", options, &rows)
}

/// The path of a rule, and what reading it gives.
async fn prepare(client: &mut RestClient) -> Result<(Arc<str>, Bytes)> {
    let upstream_id = objects::upstream(client).await?;
    let route_id = objects::route(client, "r.bench.example", &upstream_id).await?;
    let body = objects::rule_body(&route_id, &upstream_id, 1, "rule-1");
    let created = client.send(Method::POST, "/v2/rules", body, None).await?;
    let rule_id = objects::id(&serde_json::from_slice(created.body())?)?;
    let path: Arc<str> = format!("/v2/rules/{rule_id}").into();
    let answer = client.send(Method::GET, &path, Bytes::new(), None).await?;
    Ok((path, answer.body().clone()))
}
