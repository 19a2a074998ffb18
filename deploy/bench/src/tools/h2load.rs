//! `h2load` (nghttp2): HTTP/2 without TLS, many requests at a time on few connections. It sums
//! latencies up without quantiles, so these are made from its log of all requests.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::{Load, Seen, output};
use crate::load::{Latencies, Round};

/// Runs it.
pub(super) fn run(load: &Load<'_>, connections: usize, streams: usize, log: &Path) -> Result<Seen> {
    // It appends.
    if log.exists() {
        fs::remove_file(log).with_context(|| format!("{} cannot be removed", log.display()))?;
    }
    let arguments = [
        "--threads=1".to_owned(),
        format!("--clients={connections}"),
        format!("--max-concurrent-streams={streams}"),
        format!("--duration={}", load.length.as_secs().max(1)),
        format!("--log-file={}", log.display()),
        format!("--header=:authority: {}", load.host),
        format!("http://{}/", load.address),
    ];
    let per_second = rate(&output(load.core, "h2load", &arguments)?)?;
    let lines = fs::read_to_string(log).context("h2load wrote no log")?;
    let latencies = latencies(&lines)?;
    Ok(Seen {
        requests: latencies.count(),
        round: Round {
            per_second,
            p50_ms: latencies.quantile_ms(0.5),
            p99_ms: latencies.quantile_ms(0.99),
        },
    })
}

fn rate(said: &str) -> Result<f64> {
    let parse = || {
        let line = said.lines().find(|line| line.starts_with("finished in"))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let unit = words.iter().position(|word| word.starts_with("req/s"))?;
        words.get(unit.checked_sub(1)?)?.parse().ok()
    };
    parse().with_context(|| format!("h2load said something else than figures: {said}"))
}

/// Of lines of a start, a status and a number of microseconds.
fn latencies(lines: &str) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    for line in lines.lines() {
        let mut fields = line.split('\t').skip(1);
        match (
            fields.next(),
            fields.next().and_then(|micros| micros.parse().ok()),
        ) {
            (Some("200"), Some(micros)) => {
                latencies.record(std::time::Duration::from_micros(micros));
            }
            _ => bail!("a request failed: {line}"),
        }
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read() {
        let said = "starting benchmark...\n\nfinished in 5.01s, 98765.40 req/s, 13.20MB/s\n\
                    requests: 493827 total, 494083 started, 493827 done\n";
        assert!((rate(said).expect("a rate") - 98_765.4).abs() < 1e-6);
        assert!(rate("could not connect").is_err());
    }

    #[test]
    fn latencies_are_those_of_the_log_and_failures_are_none() {
        let seen = latencies("1\t200\t2000\n2\t200\t4000\n3\t200\t4000\n").expect("latencies");
        assert_eq!(seen.count(), 3);
        assert!((seen.quantile_ms(0.5) - 4.0).abs() < 0.01);
        assert!(latencies("1\t502\t2000\n").is_err());
        assert!(latencies("1\t200\t2000\n2\t-1\t30\n").is_err());
    }
}
