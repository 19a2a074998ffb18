//! `scale`: what creating, listing and publishing cost, how long a node takes to restart and how
//! much memory it holds, against the number of rules in a thousand routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use http::{Method, StatusCode};
use serde::Serialize;
use tokio::task::JoinSet;
use xtask::local::Name;
use xtask::local::process::End;
use xtask::report;

use super::{blocking, objects};
use crate::client::{RestClient, Target};
use crate::figures::{self, Table, median, number};
use crate::load::Latencies;
use crate::stage::{House, Stage};

const ROUTES: u64 = 1_000;

/// How many rules the route has whose publishing is measured.
const PUBLISHED_RULES: u64 = 100;

const CREATES: u64 = 200;
const PAGES: usize = 50;
const PUBLISHES: u64 = 5;

const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// How much is done.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Numbers of rules, growing
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    pub rules: Vec<u64>,
    /// Clients that load rules
    #[arg(long, default_value_t = 64)]
    pub clients: usize,
}

/// The figures at a number of rules.
#[derive(Clone, Debug, Serialize)]
struct Row {
    rules: u64,
    create_p50_ms: f64,
    create_p99_ms: f64,
    page_p50_ms: f64,
    page_p99_ms: f64,
    publish_ms: f64,
    publish_one_change_ms: f64,
    restart_follower_ms: f64,
    restart_leader_ms: f64,
    memory_mib: f64,
    memory_after_restart_mib: f64,
}

/// What the rules belong to.
struct Ground {
    target: Target,
    routes: Vec<String>,
    upstream_id: String,
    count: AtomicU64,
}

/// Measures and reports.
///
/// # Errors
/// When a request fails or a node does not come back.
pub async fn run(house: &House, options: &Options) -> Result<()> {
    let folder = blocking(|| house.empty_folder("scale"))?;
    let stage = blocking(|| Stage::three_nodes(house, &folder))?;
    let ground = Arc::new(prepare(&stage).await?);
    let mut rows = Vec::new();
    for &rules in &options.rules {
        load(&ground, rules, options.clients).await?;
        let row = measure(&stage, &ground, rules).await?;
        println!("{rules} rules measured: {row:?}");
        rows.push(row);
    }
    print!("\n{}", table(&rows));
    figures::write(&house.figures("scale"), "scale", options, &rows)
}

async fn prepare(stage: &Stage) -> Result<Ground> {
    let mut client = stage.client().await?;
    let upstream_id = objects::upstream(&mut client).await?;
    let mut routes = Vec::new();
    for route in 0..ROUTES {
        routes.push(
            objects::route(
                &mut client,
                &format!("s{route}.bench.example"),
                &upstream_id,
            )
            .await?,
        );
    }
    Ok(Ground {
        target: stage.target().clone(),
        routes,
        upstream_id,
        count: AtomicU64::new(0),
    })
}

/// Creates rules until there are as many.
async fn load(ground: &Arc<Ground>, rules: u64, clients: usize) -> Result<()> {
    let (began, before) = (Instant::now(), ground.count.load(Ordering::Relaxed));
    let mut loaders = JoinSet::new();
    for client in 0..clients {
        loaders.spawn(load_share(Arc::clone(ground), client, rules));
    }
    let mut progress = tokio::time::interval(PROGRESS_INTERVAL);
    progress.tick().await;
    loop {
        tokio::select! {
            ended = loaders.join_next() => match ended {
                Some(ended) => ended.context("a client panicked")??,
                None => break,
            },
            _ = progress.tick() => say_progress(ground, before, rules, began.elapsed()),
        }
    }
    // Each client counts one further before it sees that there are enough.
    ground.count.store(rules.max(before), Ordering::Relaxed);
    println!(
        "{rules} rules loaded after {}",
        report::duration(began.elapsed())
    );
    Ok(())
}

fn say_progress(ground: &Ground, before: u64, rules: u64, elapsed: Duration) {
    let done = ground.count.load(Ordering::Relaxed).min(rules);
    let float = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let rate = float(done - before) / elapsed.as_secs_f64();
    let left = Duration::try_from_secs_f64(float(rules - done) / rate.max(1.0)).unwrap_or_default();
    println!(
        "loading: {done} of {rules} rules, {} a second, {} to go",
        number(rate),
        report::duration(left)
    );
}

async fn load_share(ground: Arc<Ground>, client: usize, rules: u64) -> Result<()> {
    let mut rest = ground.target.client(client).await?;
    loop {
        let number = ground.count.fetch_add(1, Ordering::Relaxed);
        if number >= rules {
            return Ok(());
        }
        create(&mut rest, &ground, number).await?;
    }
}

async fn create(rest: &mut RestClient, ground: &Ground, number: u64) -> Result<()> {
    let route = usize::try_from(number % ROUTES).unwrap_or_default();
    let name = format!("rule-{number:09}");
    create_in(
        rest,
        &ground.routes[route],
        &ground.upstream_id,
        number / ROUTES,
        &name,
    )
    .await
}

async fn create_in(
    rest: &mut RestClient,
    route_id: &str,
    upstream_id: &str,
    priority: u64,
    name: &str,
) -> Result<()> {
    let body = objects::rule_body(route_id, upstream_id, priority, name);
    let answer = rest.send(Method::POST, "/v2/rules", body, None).await?;
    if answer.status() != StatusCode::CREATED {
        bail!(
            "a rule was not created: {} {}",
            answer.status(),
            String::from_utf8_lossy(answer.body())
        );
    }
    Ok(())
}

async fn measure(stage: &Stage, ground: &Ground, rules: u64) -> Result<Row> {
    let mut client = stage.client().await?;
    let creates = measure_creates(&mut client, ground).await?;
    let pages = measure_pages(&mut client).await?;
    let (publish_ms, publish_one_change_ms) = measure_publishes(&mut client, ground, rules).await?;
    let memory = resident_mib_max(stage, stage.nodes())?;
    let leading = blocking(|| stage.cluster().leader())?;
    let following = stage
        .nodes()
        .find(|node| *node != leading)
        .context("a cluster has followers")?;
    let follower = restart(stage, following)?;
    let leader = restart(stage, leading)?;
    Ok(Row {
        rules,
        create_p50_ms: creates.quantile_ms(0.5),
        create_p99_ms: creates.quantile_ms(0.99),
        page_p50_ms: pages.quantile_ms(0.5),
        page_p99_ms: pages.quantile_ms(0.99),
        publish_ms,
        publish_one_change_ms,
        restart_follower_ms: milliseconds(follower),
        restart_leader_ms: milliseconds(leader),
        memory_mib: memory,
        memory_after_restart_mib: resident_mib_max(stage, [following, leading])?,
    })
}

async fn measure_creates(client: &mut RestClient, ground: &Ground) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    for _ in 0..CREATES {
        let number = ground.count.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        create(client, ground, number).await?;
        latencies.record(sent.elapsed());
    }
    Ok(latencies)
}

async fn measure_pages(client: &mut RestClient) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let mut path = "/v2/rules?limit=100".to_owned();
    for _ in 0..PAGES {
        let sent = Instant::now();
        let page = client.get(&path).await?;
        latencies.record(sent.elapsed());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v2/rules?limit=100&cursor={cursor}");
    }
    Ok(latencies)
}

/// Medians of publishing a route with 100 new rules, and of publishing it again with one more.
async fn measure_publishes(
    client: &mut RestClient,
    ground: &Ground,
    rules: u64,
) -> Result<(f64, f64)> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for round in 0..PUBLISHES {
        let hostname = format!("p{round}-{rules}.bench.example");
        let route_id = objects::route(client, &hostname, &ground.upstream_id).await?;
        for priority in 0..PUBLISHED_RULES {
            create_in(
                client,
                &route_id,
                &ground.upstream_id,
                priority,
                &format!("published-{priority}"),
            )
            .await?;
        }
        first.push(publish(client, &route_id).await?);
        create_in(
            client,
            &route_id,
            &ground.upstream_id,
            PUBLISHED_RULES,
            "one-more",
        )
        .await?;
        second.push(publish(client, &route_id).await?);
    }
    Ok((median(first), median(second)))
}

async fn publish(client: &mut RestClient, route_id: &str) -> Result<f64> {
    let sent = Instant::now();
    client
        .post(
            &format!("/v2/routes/{route_id}/publish"),
            &serde_json::json!({}),
        )
        .await?;
    Ok(milliseconds(sent.elapsed()))
}

fn restart(stage: &Stage, node: Name) -> Result<Duration> {
    blocking(|| {
        stage.cluster().stop(node, End::Drained)?;
        let began = Instant::now();
        stage.cluster().start(node)?;
        stage.cluster().wait_ready(node)?;
        Ok(began.elapsed())
    })
}

fn resident_mib_max(stage: &Stage, nodes: impl IntoIterator<Item = Name>) -> Result<f64> {
    let mut largest = 0;
    for node in nodes {
        largest = largest.max(stage.resident_bytes(node)?);
    }
    Ok(f64::from(u32::try_from(largest / 1024).unwrap_or(u32::MAX)) / 1024.0)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new([
        "rules",
        "create p50 ms",
        "p99",
        "page p50 ms",
        "p99",
        "publish 100 ms",
        "publish +1 ms",
        "follower restart ms",
        "leader restart ms",
        "memory MiB",
        "after restart",
    ]);
    for row in rows {
        table.row([
            row.rules.to_string(),
            number(row.create_p50_ms),
            number(row.create_p99_ms),
            number(row.page_p50_ms),
            number(row.page_p99_ms),
            number(row.publish_ms),
            number(row.publish_one_change_ms),
            number(row.restart_follower_ms),
            number(row.restart_leader_ms),
            number(row.memory_mib),
            number(row.memory_after_restart_mib),
        ]);
    }
    table.render()
}
