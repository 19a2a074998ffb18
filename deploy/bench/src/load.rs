//! Closed-loop load: a number of clients, each sending its next request when the last is answered.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;

/// Latencies up to this are told apart to three digits; longer ones count as this.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// One client of a system under load.
pub trait Client: Send + 'static {
    /// Sends one request and waits for its success.
    ///
    /// # Errors
    /// When it does not succeed, which ends the benchmark: under no faults none may fail.
    fn once(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// What a round of load showed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Round {
    /// Requests that succeeded per second.
    pub per_second: f64,
    /// The median latency.
    pub p50_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
}

/// Latencies.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None so far.
    ///
    /// # Errors
    /// Never, with these bounds; the library asks.
    pub fn new() -> Result<Self> {
        let longest = u64::try_from(LATENCY_MAX.as_micros()).unwrap_or(u64::MAX);
        Ok(Self(
            Histogram::new_with_bounds(1, longest, 3).context("a histogram of latencies")?,
        ))
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.0
            .saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds those of another client.
    ///
    /// # Errors
    /// Never: all have the same bounds.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("latencies cannot be added")
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that a share of all stays below, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let micros = u32::try_from(self.0.value_at_quantile(share)).unwrap_or(u32::MAX);
        f64::from(micros) / 1000.0
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        f64::from(u32::try_from(self.0.max()).unwrap_or(u32::MAX)) / 1000.0
    }
}

/// Has all clients send for a time. They come back, to be used again.
///
/// # Errors
/// When a request fails.
pub async fn run<C: Client>(clients: Vec<C>, length: Duration) -> Result<(Round, Vec<C>)> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(send_until(client, began + length));
    }
    let mut all = Latencies::new()?;
    let mut clients = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (latencies, client) = ended.context("a client panicked")??;
        all.add(&latencies)?;
        clients.push(client);
    }
    let seconds = began.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(all.count()).unwrap_or(u32::MAX));
    let round = Round {
        per_second: count / seconds,
        p50_ms: all.quantile_ms(0.5),
        p99_ms: all.quantile_ms(0.99),
    };
    Ok((round, clients))
}

async fn send_until<C: Client>(mut client: C, end: Instant) -> Result<(Latencies, C)> {
    let mut latencies = Latencies::new()?;
    let mut sent = Instant::now();
    while sent < end {
        client.once().await?;
        let now = Instant::now();
        latencies.record(now - sent);
        sent = now;
    }
    Ok((latencies, client))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sleeper(Duration);

    impl Client for Sleeper {
        async fn once(&mut self) -> Result<()> {
            tokio::time::sleep(self.0).await;
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_round_counts_what_its_clients_did() {
        let clients = (0..4).map(|_| Sleeper(Duration::from_millis(10))).collect();
        let (round, clients) = run(clients, Duration::from_millis(200))
            .await
            .expect("no failure");
        assert_eq!(clients.len(), 4);
        assert!(round.p50_ms >= 10.0, "{round:?}");
        // Each client can do at most 100 a second.
        assert!(
            round.per_second > 1.0 && round.per_second <= 400.0,
            "{round:?}"
        );
    }

    #[tokio::test]
    async fn a_failed_request_ends_the_round() {
        struct Failing;
        impl Client for Failing {
            async fn once(&mut self) -> Result<()> {
                anyhow::bail!("no")
            }
        }
        assert!(run(vec![Failing], Duration::from_secs(60)).await.is_err());
    }
}
