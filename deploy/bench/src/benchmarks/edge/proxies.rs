//! Requests per second, latency and processor time per request, beside nginx and `HAProxy`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::ground::Ground;
use super::turns::{Comparison, Contender, Course, compare, take};
use super::{Options, Part};
use crate::benchmarks::blocking;
use crate::figures::{Table, number};
use crate::neighbours::Neighbour;
use crate::processes::Pid;
use crate::tools::{Load, Shape};

pub(super) const EDGE: &str = "VectorGate";

/// Before anything counts, each proxy takes its load for so long.
const WARM_UP: Duration = Duration::from_secs(1);

/// Measures all three by the protocol that `part` says.
pub(super) async fn measure(ground: &mut Ground, options: &Options, part: Part) -> Result<Value> {
    let host = format!("{}.bench.example", part.name());
    let upstream = ground.upstream_id.clone();
    ground.route(&host, &upstream, 1).await?;
    let courses = ground
        .alone(async |ground| blocking(|| race(ground, options, part, &host)))
        .await?;
    let comparisons = compare(&courses, EDGE);
    println!(
        "\n{}, 100-byte answers, one core each",
        shown(part, options)
    );
    print!("{}", table(&courses));
    print!("\n{}", comparison_table(&comparisons));
    Ok(json!({ "courses": courses, "comparisons": comparisons }))
}

fn race(ground: &Ground, options: &Options, part: Part, host: &str) -> Result<Vec<Course>> {
    let nginx = Neighbour::nginx(&ground.folder, 0)?;
    let haproxy = Neighbour::haproxy(&ground.folder, 0)?;
    println!("Beside {} and {}", nginx.version, haproxy.version);
    let log = ground.folder.join("h2load.log");
    let of = |neighbour: &Neighbour| match part {
        Part::Http2 => neighbour.http2(),
        _ => neighbour.http1(),
    };
    let contender = |name: &str, pid: Pid, address: SocketAddr| Contender {
        name: name.to_owned(),
        pid,
        load: Load {
            address,
            host,
            length: Duration::from_secs(options.seconds),
            core: 0,
            shape: shape(part, options, &log),
        },
    };
    let contenders = [
        contender(EDGE, ground.edge()?, ground.address()?),
        contender("nginx", nginx.pid()?, of(&nginx)),
        contender("HAProxy", haproxy.pid()?, of(&haproxy)),
    ];
    for contender in &contenders {
        let warm_up = Load {
            length: WARM_UP,
            ..contender.load
        };
        warm_up.run()?;
    }
    take(&contenders, ground.origin.pid()?, options.rounds)
}

fn shape<'a>(part: Part, options: &Options, log: &'a Path) -> Shape<'a> {
    match part {
        Part::Http2 => Shape::Http2 {
            connections: options.http2_connections,
            streams: options.streams,
            log,
        },
        _ => Shape::Http1 {
            connections: options.connections,
        },
    }
}

fn shown(part: Part, options: &Options) -> String {
    match part {
        Part::Http2 => format!(
            "HTTP/2 on {} connections of {} requests at a time",
            options.http2_connections, options.streams
        ),
        _ => format!("HTTP/1.1 on {} connections", options.connections),
    }
}

pub(super) fn table(courses: &[Course]) -> String {
    let mut table = Table::new([
        "proxy",
        "on core",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU us/request",
        "core busy",
    ]);
    for course in courses {
        let median = course.median;
        table.row([
            course.name.clone(),
            course.core.to_string(),
            number(median.round.per_second),
            number(median.round.p50_ms),
            number(median.round.p99_ms),
            number(median.cpu_us),
            format!("{:.0} %", median.busy * 100.0),
        ]);
    }
    table.render()
}

pub(super) fn comparison_table(comparisons: &[Comparison]) -> String {
    let beside = format!("{EDGE}, times");
    let mut table = Table::new([&beside, "requests/s", "p99", "CPU/request"]);
    for comparison in comparisons {
        table.row([
            comparison.with.clone(),
            format!("{:.3}", comparison.per_second),
            format!("{:.3}", comparison.p99),
            format!("{:.3}", comparison.cpu),
        ]);
    }
    table.render()
}
