//! Requests per second that are answered from a cache, beside nginx and Varnish. While they are, the origin is
//! held: whatever is not answered from a cache fails the benchmark.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Options;
use super::ground::Ground;
use super::proxies::{EDGE, comparison_table, table};
use super::scripts;
use super::turns::{Contender, Course, compare, take};
use crate::benchmarks::blocking;
use crate::neighbours::{KEPT_PATH, Neighbour};
use crate::processes::Pid;
use crate::tools::{Load, Shape};

const HOST: &str = "kept.bench.example";

/// How many URLs are asked for, one after the other.
const URLS: u64 = 1_000;

/// Before anything counts, each cache takes its load for so long, in which it comes to have all of them.
const WARM_UP: Duration = Duration::from_secs(2);

/// Measures all three.
pub(super) async fn measure(ground: &mut Ground, options: &Options) -> Result<Value> {
    let upstream = ground.upstream_id.clone();
    ground.route(HOST, &upstream, 1).await?;
    let courses = ground
        .alone(async |ground| blocking(|| race(ground, options)))
        .await?;
    let comparisons = compare(&courses, EDGE);
    let connections = options.connections;
    println!(
        "\n{URLS} kept 100-byte answers over HTTP/1.1 on {connections} connections, one core each"
    );
    print!("{}", table(&courses));
    print!("\n{}", comparison_table(&comparisons));
    Ok(json!({ "courses": courses, "comparisons": comparisons }))
}

fn race(ground: &Ground, options: &Options) -> Result<Vec<Course>> {
    let nginx = Neighbour::nginx_cache(&ground.folder, 0)?;
    let varnish = Neighbour::varnish(&ground.folder, 0)?;
    println!("Beside {} and {}", nginx.version, varnish.version);
    let urls = (0..URLS).map(|number| format!("{KEPT_PATH}{number}"));
    let script = scripts::one_after_the_other(&ground.folder.join("kept.lua"), urls)?;
    let contender = |name: &str, pid: Pid, address: SocketAddr| Contender {
        name: name.to_owned(),
        pid,
        load: Load {
            address,
            host: HOST,
            length: Duration::from_secs(options.seconds),
            core: 0,
            shape: Shape::Scripted {
                connections: options.connections,
                script: &script,
            },
        },
    };
    let contenders = [
        contender(EDGE, ground.edge()?, ground.address()?),
        contender("nginx", nginx.pid()?, nginx.http1()),
        contender("Varnish", varnish.pid()?, varnish.http1()),
    ];
    for contender in &contenders {
        let warm_up = Load {
            length: WARM_UP,
            ..contender.load
        };
        warm_up.run()?;
    }
    let origin = ground.origin.pid()?;
    let _held = origin.hold()?;
    take(&contenders, origin, options.rounds)
}
