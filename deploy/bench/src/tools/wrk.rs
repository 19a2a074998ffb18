//! `wrk`: HTTP/1.1, one request at a time on each of a number of connections.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::{Load, Seen, output};
use crate::load::Round;

/// Runs it.
pub(super) fn run(load: &Load<'_>, connections: usize, script: Option<&Path>) -> Result<Seen> {
    let mut arguments = vec![
        "--threads=1".to_owned(),
        format!("--connections={connections}"),
        format!("--duration={}s", load.length.as_secs().max(1)),
        "--timeout=10s".to_owned(),
        "--latency".to_owned(),
        format!("--header=Host: {}", load.host),
    ];
    if let Some(script) = script {
        arguments.push(format!("--script={}", script.display()));
    }
    arguments.push(format!("http://{}/", load.address));
    read(&output(load.core, "wrk", &arguments)?)
}

fn read(said: &str) -> Result<Seen> {
    for trouble in ["Socket errors:", "Non-2xx or 3xx responses:"] {
        if let Some(line) = said.lines().find(|line| line.contains(trouble)) {
            bail!("requests failed: {}", line.trim());
        }
    }
    let parse = || {
        let requests = word_before(said, " requests in ")?.parse().ok()?;
        Some(Seen {
            requests,
            round: Round {
                per_second: word_after(said, "Requests/sec:")?.parse().ok()?,
                p50_ms: milliseconds(word_after(said, " 50%")?)?,
                p99_ms: milliseconds(word_after(said, " 99%")?)?,
            },
        })
    };
    parse().with_context(|| format!("wrk said something else than figures: {said}"))
}

fn word_after<'a>(said: &'a str, label: &str) -> Option<&'a str> {
    let (_, rest) = said.split_once(label)?;
    rest.split_whitespace().next()
}

fn word_before<'a>(said: &'a str, label: &str) -> Option<&'a str> {
    let (before, _) = said.split_once(label)?;
    before.split_whitespace().next_back()
}

/// `621.00us`, `1.20ms`, `2.50s`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let (digits, factor) = units
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(digits.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 5s test @ http://127.0.0.1:18301/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   621.46us  112.10us   4.80ms   91.30%
    Req/Sec   102.76k     3.27k  107.31k    82.00%
  Latency Distribution
     50%  602.00us
     75%  643.00us
     90%  710.00us
     99%    1.06ms
  511342 requests in 5.00s, 151.18MB read
Requests/sec: 102266.35
Transfer/sec:     30.24MB
";

    #[test]
    fn figures_are_read() {
        let seen = read(SAID).expect("figures");
        assert_eq!(seen.requests, 511_342);
        assert!((seen.round.per_second - 102_266.35).abs() < 0.01);
        assert!((seen.round.p50_ms - 0.602).abs() < 1e-9);
        assert!((seen.round.p99_ms - 1.06).abs() < 1e-9);
    }

    #[test]
    fn failures_are_not_counted_as_speed() {
        for trouble in [
            "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
            "  Non-2xx or 3xx responses: 4\n",
        ] {
            assert!(read(&format!("{SAID}{trouble}")).is_err());
        }
        assert!(read("unable to connect to 127.0.0.1:1 Connection refused").is_err());
    }
}
