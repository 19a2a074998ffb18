//! `matching`: how long an edge takes to find the rule for a request, by the index and by trying all
//! rules, against the number of rules in one route and the shape of what they ask for; and how long
//! compiling the route takes, and finding the rules that none reaches. It measures a function of `domain`, in this process.

mod shape;

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use domain::content::{Action, RouteContent, RuleContent};
use domain::id::{RouteId, RuleId};
use domain::matching::{CompiledRoute, Request, Shadows};
use domain::model::{Mode, Priority};
use domain::tree::Hash;
use serde::Serialize;
use shape::{Asked, SHAPES, Shape};
use xtask::report;

use crate::figures::{self, Table, median, number};
use crate::stage::House;

/// How many different requests are asked about in turn, so that not all of it is in the nearest cache.
const REQUESTS: usize = 1_000;

const ROUNDS: usize = 5;

/// Trying all rules is not measured for longer: it takes milliseconds for each request.
const SCAN_TIME_MAX: Duration = Duration::from_millis(300);

/// A divisor of [`REQUESTS`].
const SCANNED_AT_ONCE: usize = 20;

/// How much is done.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Numbers of rules
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 10_000, 100_000])]
    pub rules: Vec<usize>,
}

/// The figures of one shape at a number of rules.
#[derive(Clone, Debug, Serialize)]
struct Row {
    shape: &'static str,
    rules: usize,
    index_ns: f64,
    scan_ns: f64,
    compile_ms: f64,
    recompile_ms: f64,
    shadows_ms: f64,
}

/// Measures and reports.
///
/// # Errors
/// When the index and trying all rules give different answers, or the figures cannot be written.
pub fn run(house: &House, options: &Options) -> Result<()> {
    std::fs::create_dir_all(&house.folder)
        .with_context(|| format!("{} cannot be made", house.folder.display()))?;
    let mut rows = Vec::new();
    for shape in &SHAPES {
        report::step(shape.name);
        for rules in &options.rules {
            rows.push(measure(shape, *rules)?);
        }
    }
    print!("\n{}", table(&rows));
    figures::write(&house.figures("matching"), "matching", options, &rows)
}

fn measure(shape: &Shape, count: usize) -> Result<Row> {
    let rules = rules(shape, count);
    let (route, first) = timed(|| compile(None, rules.clone()));
    let route = route?;
    // What a publish of the same rules costs an edge that has the patterns already.
    let criteria: Vec<_> = rules.iter().map(|rule| &rule.criteria).collect();
    let (_, shadows) = timed(|| black_box(Shadows::of(&criteria)));
    let (again, second) = timed(|| compile(Some(&route), rules));
    drop(again?);
    let asked: Vec<_> = (0..REQUESTS)
        .map(|at| (shape.request)(at * 7_919 % count))
        .collect();
    check(&route, &asked)?;
    let index = (0..ROUNDS).map(|_| by_index(&route, &asked)).collect();
    Ok(Row {
        shape: shape.name,
        rules: count,
        index_ns: median(index),
        scan_ns: by_scan(&route, &asked),
        compile_ms: first.as_secs_f64() * 1e3,
        recompile_ms: second.as_secs_f64() * 1e3,
        shadows_ms: shadows.as_secs_f64() * 1e3,
    })
}

/// Both ways must say the same, or the figures mean nothing.
fn check(route: &CompiledRoute, asked: &[Asked]) -> Result<()> {
    let place = |found: Option<(usize, &_)>| found.map(|(place, _)| place);
    for asked in asked.iter().take(20) {
        let request = request(asked);
        let (index, scan) = (place(route.find(&request)), place(route.scan(&request)));
        anyhow::ensure!(index == scan, "{asked:?}: {index:?} is not {scan:?}");
    }
    Ok(())
}

/// Nanoseconds for each request, as one after the other is asked about.
fn by_index(route: &CompiledRoute, asked: &[Asked]) -> f64 {
    let rounds = 20;
    let ((), elapsed) = timed(|| {
        for _ in 0..rounds {
            for asked in asked {
                black_box(route.find(&request(asked)));
            }
        }
    });
    nanoseconds(elapsed, asked.len() * rounds)
}

fn by_scan(route: &CompiledRoute, asked: &[Asked]) -> f64 {
    let begun = Instant::now();
    let (mut next, mut total) = (0, 0);
    while begun.elapsed() < SCAN_TIME_MAX {
        // A handful between two looks at the clock, which costs as much as trying a few rules.
        for asked in &asked[next..next + SCANNED_AT_ONCE] {
            black_box(route.scan(&request(asked)));
        }
        next = (next + SCANNED_AT_ONCE) % asked.len();
        total += SCANNED_AT_ONCE;
    }
    nanoseconds(begun.elapsed(), total)
}

fn request(asked: &Asked) -> Request<'_, [(String, String)]> {
    Request {
        method: "GET",
        host: "api.example.net",
        path: &asked.path,
        query: &asked.query,
        headers: &asked.headers,
        client: IpAddr::V4(asked.client),
        region: "eu-central-1",
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

fn nanoseconds(elapsed: Duration, count: usize) -> f64 {
    elapsed.as_secs_f64() * 1e9 / count as f64
}

fn rules(shape: &Shape, count: usize) -> Vec<RuleContent> {
    let rule = |at: usize| RuleContent {
        id: RuleId::parse(&format!("rule_{at:08}")).expect("an identifier"),
        priority: Priority(u32::try_from(at).unwrap_or(u32::MAX)),
        name: String::new(),
        criteria: (shape.rule)(at),
        action: Action::FixedResponse {
            status: 204,
            headers: Default::default(),
            body: String::new(),
        },
        metadata: Default::default(),
    };
    (0..count).map(rule).collect()
}

fn compile(previous: Option<&CompiledRoute>, rules: Vec<RuleContent>) -> Result<CompiledRoute> {
    let content = RouteContent {
        route_id: RouteId::parse("rt_00000001").context("an identifier")?,
        name: String::new(),
        hostname: "api.example.net".to_owned(),
        mode: Mode::Balanced,
        enabled: true,
        default_upstreams: Vec::new(),
        config: "{}".to_owned(),
        upstreams: Hash::EMPTY_TREE,
        rules: Hash::EMPTY_TREE,
        rule_count: rules.len() as u64,
    };
    Ok(CompiledRoute::compile_after(
        previous,
        content,
        rules,
        Vec::new(),
    )?)
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new([
        "rules ask for",
        "rules",
        "index ns",
        "one by one ns",
        "compile ms",
        "again ms",
        "unreachable ms",
    ]);
    for row in rows {
        table.row([
            row.shape.to_owned(),
            row.rules.to_string(),
            number(row.index_ns),
            number(row.scan_ns),
            number(row.compile_ms),
            number(row.recompile_ms),
            number(row.shadows_ms),
        ]);
    }
    table.render()
}
